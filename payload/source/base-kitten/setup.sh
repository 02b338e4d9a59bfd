#!/bin/sh
# The page of the image "kitten" of the end-to-end suite.
# $1 is its root, $2 the folder of Kubernetes' sources.
set -eu
cp "$2"/test/images/kitten/html/* "$1/"
