package gitops

import (
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"charts/manifests"
)

// The charts of others that are available as Go modules in the version that is pinned, by the name of the Application: their modules
// without the version, which is that of the settings with a v, and the folders in them.
var chartModules = map[string]struct{ module, folder string }{
	"cert-manager":  {"github.com/cert-manager/cert-manager", "deploy/charts/cert-manager"},
	"karpenter":     {"github.com/aws/karpenter-provider-aws", "charts/karpenter"},
	"spin-operator": {"github.com/spinkube/spin-operator", "charts/spin-operator"},
}

// renderApplication is what helm makes of a chart with the values of an Application.
func renderApplication(t *testing.T, tr *tree, name, chart string) []object {
	t.Helper()
	application := tr.named("Application", name)
	arguments := []string{"template", name, chart, "--kube-version", "1.35.0", "--api-versions", "monitoring.coreos.com/v1",
		"--namespace", application.text("spec", "destination", "namespace")}
	for _, file := range texts(application.list("spec", "sources", 0, "helm", "valueFiles")) {
		path := filepath.Join(chart, file)
		if rest, ofOurs := strings.CutPrefix(file, "$values/"); ofOurs {
			path = tr.repositoryPath(rest)
		}
		arguments = append(arguments, "--values", path)
	}
	out, err := manifests.Run(manifests.ToolPath("helm"), arguments...)
	if err != nil {
		t.Fatalf("%s: %s: %s", tr, name, err)
	}
	return slices.DeleteFunc(parse(t, out), func(o object) bool {
		// Argo CD does not run the tests of a chart.
		return strings.HasPrefix(o.text("metadata", "annotations", "helm.sh/hook"), "test")
	})
}

var charts struct {
	sync.Once
	rendered map[string]map[string][]object
}

// renderedCharts has the objects of the charts of others, by environment and the name of the Application.
func renderedCharts(t *testing.T) map[string]map[string][]object {
	t.Helper()
	charts.Do(func() {
		rendered := map[string]map[string][]object{}
		for _, environment := range environments {
			tr := treeOf(t, environment)
			rendered[environment] = map[string][]object{}
			for name, from := range chartModules {
				if tr.named("Application", name) == nil {
					continue
				}
				folder := filepath.Join(manifests.ModuleFolder(t, from.module+"@v"+strings.TrimPrefix(tr.settings[name], "v")), from.folder)
				rendered[environment][name] = renderApplication(t, tr, name, folder)
			}
		}
		charts.rendered = rendered
	})
	if charts.rendered == nil {
		t.Fatal("not all charts could be rendered")
	}
	return charts.rendered
}

// What the charts make, their project allows; and each container has requests and a limit of memory.
func TestChartsFit(t *testing.T) {
	seen := map[string]bool{}
	for environment, byName := range renderedCharts(t) {
		tr := treeOf(t, environment)
		for name, objects := range byName {
			seen[name] = true
			application := tr.named("Application", name)
			for _, found := range notAllowed(tr, application, objects) {
				t.Errorf("%s: %s", tr, found)
			}
			for _, o := range objects {
				for _, found := range unboundedContainers(o) {
					t.Errorf("%s: %s: %s", tr, name, found)
				}
			}
			replicated, budgets := 0, 0
			for _, o := range objects {
				if replicas, _ := o.at("spec", "replicas").(int64); o.kind() == "Deployment" && replicas > 1 {
					replicated++
				}
				if o.kind() == "PodDisruptionBudget" {
					budgets++
				}
			}
			// The chart of spin-operator has none.
			if name != "spin-operator" && replicated != budgets {
				t.Errorf("%s: %s: %d Deployments of several pods, and %d budgets", tr, name, replicated, budgets)
			}
		}
	}
	if len(seen) != len(chartModules) {
		t.Errorf("only %v", seen)
	}
}

// unboundedContainers says which containers of a workload are without requests or a limit of memory, or have a limit of CPU.
func unboundedContainers(o object) []string {
	var found []string
	for _, container := range append(o.list("spec", "template", "spec", "initContainers"), o.list("spec", "template", "spec", "containers")...) {
		for _, needed := range [][]any{{"requests", "cpu"}, {"requests", "memory"}, {"limits", "memory"}} {
			if at(container, append([]any{"resources"}, needed...)...) == nil {
				found = append(found, o.String()+": "+text(at(container, "name"))+" has no "+text(needed[0])+" of "+text(needed[1]))
			}
		}
		if at(container, "resources", "limits", "cpu") != nil {
			found = append(found, o.String()+": "+text(at(container, "name"))+" has a limit of CPU, which would throttle it")
		}
	}
	return found
}

func TestUnboundedContainersAreNoticed(t *testing.T) {
	for _, o := range renderedCharts(t)["prod"]["karpenter"] {
		if o.kind() != "Deployment" {
			continue
		}
		for _, broken := range []func(map[string]any){
			func(resources map[string]any) { delete(resources, "limits") },
			func(resources map[string]any) { delete(resources["requests"].(map[string]any), "cpu") },
			func(resources map[string]any) { resources["limits"].(map[string]any)["cpu"] = "1" },
		} {
			clone := o.clone()
			broken(clone.at("spec", "template", "spec", "containers", 0, "resources").(map[string]any))
			if len(unboundedContainers(clone)) == 0 {
				t.Error("is not noticed")
			}
		}
		return
	}
	t.Error("karpenter has no Deployment")
}

// sorted has the keys of a set.
func sorted(set map[string]bool) []string {
	var keys []string
	for key := range set {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
