//go:build ignore

package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/dexidp/dex/storage"
)

// patient asks again where an API server refuses a request because it is about to end, or has only
// just begun and does not know yet who may do what. Kubernetes' own clients do the former, Dex's
// neither. The server has done nothing yet, and it or another one answers soon. Without that
// whoever signs in while an API server is replaced reads of an error.
type patient struct{ storage.Storage }

// refusals are how often it is asked again, and pause how long it waits before.
const (
	refusals = 20
	pause    = 300 * time.Millisecond
)

// refused is whether an error is of a status that an API server refuses requests with, by the
// words of Dex's client.
func refused(err error) bool {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		if strings.Contains(err.Error(), " "+http.StatusText(status)+": response from server") {
			return true
		}
	}
	return false
}

func again[T any](ctx context.Context, ask func() (T, error)) (answer T, err error) {
	for range refusals {
		if answer, err = ask(); err == nil || !refused(err) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
	return answer, err
}

func do(ctx context.Context, ask func() error) error {
	_, err := again(ctx, func() (struct{}, error) { return struct{}{}, ask() })
	return err
}

func (s patient) GetAuthRequest(ctx context.Context, id string) (storage.AuthRequest, error) {
	return again(ctx, func() (storage.AuthRequest, error) { return s.Storage.GetAuthRequest(ctx, id) })
}

func (s patient) GetAuthCode(ctx context.Context, id string) (storage.AuthCode, error) {
	return again(ctx, func() (storage.AuthCode, error) { return s.Storage.GetAuthCode(ctx, id) })
}

func (s patient) GetClient(ctx context.Context, id string) (storage.Client, error) {
	return again(ctx, func() (storage.Client, error) { return s.Storage.GetClient(ctx, id) })
}

func (s patient) GetKeys(ctx context.Context) (storage.Keys, error) {
	return again(ctx, func() (storage.Keys, error) { return s.Storage.GetKeys(ctx) })
}

func (s patient) GetRefresh(ctx context.Context, id string) (storage.RefreshToken, error) {
	return again(ctx, func() (storage.RefreshToken, error) { return s.Storage.GetRefresh(ctx, id) })
}

func (s patient) GetPassword(ctx context.Context, email string) (storage.Password, error) {
	return again(ctx, func() (storage.Password, error) { return s.Storage.GetPassword(ctx, email) })
}

func (s patient) GetOfflineSessions(ctx context.Context, user, connector string) (storage.OfflineSessions, error) {
	return again(ctx, func() (storage.OfflineSessions, error) { return s.Storage.GetOfflineSessions(ctx, user, connector) })
}

func (s patient) GetConnector(ctx context.Context, id string) (storage.Connector, error) {
	return again(ctx, func() (storage.Connector, error) { return s.Storage.GetConnector(ctx, id) })
}

func (s patient) GetDeviceRequest(ctx context.Context, userCode string) (storage.DeviceRequest, error) {
	return again(ctx, func() (storage.DeviceRequest, error) { return s.Storage.GetDeviceRequest(ctx, userCode) })
}

func (s patient) GetDeviceToken(ctx context.Context, deviceCode string) (storage.DeviceToken, error) {
	return again(ctx, func() (storage.DeviceToken, error) { return s.Storage.GetDeviceToken(ctx, deviceCode) })
}

func (s patient) ListConnectors(ctx context.Context) ([]storage.Connector, error) {
	return again(ctx, func() ([]storage.Connector, error) { return s.Storage.ListConnectors(ctx) })
}

func (s patient) CreateRefresh(ctx context.Context, v storage.RefreshToken) error {
	return do(ctx, func() error { return s.Storage.CreateRefresh(ctx, v) })
}

func (s patient) CreateAuthRequest(ctx context.Context, v storage.AuthRequest) error {
	return do(ctx, func() error { return s.Storage.CreateAuthRequest(ctx, v) })
}

func (s patient) CreateAuthCode(ctx context.Context, v storage.AuthCode) error {
	return do(ctx, func() error { return s.Storage.CreateAuthCode(ctx, v) })
}

func (s patient) CreateOfflineSessions(ctx context.Context, v storage.OfflineSessions) error {
	return do(ctx, func() error { return s.Storage.CreateOfflineSessions(ctx, v) })
}

func (s patient) CreateDeviceRequest(ctx context.Context, v storage.DeviceRequest) error {
	return do(ctx, func() error { return s.Storage.CreateDeviceRequest(ctx, v) })
}

func (s patient) CreateDeviceToken(ctx context.Context, v storage.DeviceToken) error {
	return do(ctx, func() error { return s.Storage.CreateDeviceToken(ctx, v) })
}

func (s patient) DeleteAuthRequest(ctx context.Context, id string) error {
	return do(ctx, func() error { return s.Storage.DeleteAuthRequest(ctx, id) })
}

func (s patient) DeleteAuthCode(ctx context.Context, code string) error {
	return do(ctx, func() error { return s.Storage.DeleteAuthCode(ctx, code) })
}

func (s patient) DeleteRefresh(ctx context.Context, id string) error {
	return do(ctx, func() error { return s.Storage.DeleteRefresh(ctx, id) })
}

func (s patient) DeleteOfflineSessions(ctx context.Context, user, connector string) error {
	return do(ctx, func() error { return s.Storage.DeleteOfflineSessions(ctx, user, connector) })
}

func (s patient) UpdateKeys(ctx context.Context, update func(storage.Keys) (storage.Keys, error)) error {
	return do(ctx, func() error { return s.Storage.UpdateKeys(ctx, update) })
}

func (s patient) UpdateAuthRequest(ctx context.Context, id string, update func(storage.AuthRequest) (storage.AuthRequest, error)) error {
	return do(ctx, func() error { return s.Storage.UpdateAuthRequest(ctx, id, update) })
}

func (s patient) UpdateRefreshToken(ctx context.Context, id string, update func(storage.RefreshToken) (storage.RefreshToken, error)) error {
	return do(ctx, func() error { return s.Storage.UpdateRefreshToken(ctx, id, update) })
}

func (s patient) UpdateOfflineSessions(ctx context.Context, user, connector string, update func(storage.OfflineSessions) (storage.OfflineSessions, error)) error {
	return do(ctx, func() error { return s.Storage.UpdateOfflineSessions(ctx, user, connector, update) })
}

func (s patient) UpdateDeviceToken(ctx context.Context, deviceCode string, update func(storage.DeviceToken) (storage.DeviceToken, error)) error {
	return do(ctx, func() error { return s.Storage.UpdateDeviceToken(ctx, deviceCode, update) })
}
