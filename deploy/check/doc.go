// Package check tests what deploys AURA: compose.yaml and the Kustomize base, as far as that goes without a container engine or a
// cluster. It is a module of its own, so that the libraries that read those files are none of the program's.
//
//	go -C deploy/check test ./...      (.ci/run deploy)
package check
