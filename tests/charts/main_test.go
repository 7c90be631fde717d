// Package charts checks the charts of this repository: every preset and every value is rendered, and the result is
// checked against rules, schemas and goldens. Nothing here needs a cluster.
//
//	helm_test.go         running helm
//	scenarios_test.go    the values that the charts are rendered with
//	objects_test.go      the rendered objects, and those that the spin-operator creates
//	*_rules_test.go      the rules for every rendering, one per function
//	rules_test.go        the list of them
//	mutations_test.go    each rule fails on a broken object
//	rendering_test.go    helm lint, helm 3, upgrades, charts as parts of others
//	goldens_test.go      the exact renderings of the presets
//	refusals_test.go     which values are refused
//	values_test.go       values.yaml, its schema and the READMEs
//	presets_test.go      how the presets fit together, and observability/
//	runbook_test.go      how docs/runbook.md and the alerts fit together
//	lookup_test.go       what the charts do about objects that are in the cluster
//	analysis_test.go     what the analyses of a Rollout find
//	cloudnativepg_test.go  how charts/cloudnativepg.yaml and its preset fit together
//	kubernetes_test.go   schemas of Kubernetes and of custom resources
//	kube_score_test.go   kube-score on the presets
//	promtool_test.go     running promtool
package charts

import (
	"os"
	"testing"

	"charts/manifests"
)

func TestMain(m *testing.M) {
	manifests.RequireTools("helm", "helm3", "helm-docs", "kubectl-validate", "kube-score")
	code := m.Run()
	if code == 0 {
		printSummary()
	}
	os.Exit(code)
}
