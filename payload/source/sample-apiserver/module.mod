module craton.dev/payload/sample-apiserver

go 1.26.0

godebug default=go1.26

require k8s.io/sample-apiserver v0.37.2
