module craton.dev/payload/ginkgo

go 1.26.0

require github.com/onsi/ginkgo/v2 v2.32.0
