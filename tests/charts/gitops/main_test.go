// Package gitops checks infra/gitops without a cluster: what Argo CD would render is built, and checked against rules, schemas, the
// charts that are available as Go modules, and infra/terraform.
//
//	build_test.go      what the root Application renders, in each environment and variant
//	objects_test.go    objects, and where fields are in them
//	rules_test.go      the rules, one per function, and the list of them
//	nodes_test.go      the rules for nodes
//	mutations_test.go  each rule fails on a broken tree
//	charts_test.go     charts, rendered with our values
//	terraform_test.go  names that infra/terraform has, too
//	schemas_test.go    schemas of Kubernetes and of custom resources
package gitops

import (
	"os"
	"testing"

	"charts/manifests"
)

func TestMain(m *testing.M) {
	manifests.RequireTools("helm", "kubectl-validate")
	code := m.Run()
	if temporary != "" {
		os.RemoveAll(temporary)
	}
	os.Exit(code)
}

// temporary has the copies of infra/gitops, if there are any.
var temporary string
