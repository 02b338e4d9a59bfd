module craton.dev/payload/flannel

go 1.26.0

require github.com/flannel-io/flannel v0.28.10

require k8s.io/klog/v2 v2.140.0 // indirect
