package test

import "testing"

func TestZKilled(t *testing.T)    { needHost(t); testKilled(t, nil) }
func TestZCloudInit(t *testing.T) { needHost(t); testCloudInit(t, nil) }
