module craton.dev/payload/ignition

go 1.26.0

require github.com/coreos/ignition/v2 v2.24.0
