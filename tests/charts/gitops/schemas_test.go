package gitops

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"charts/manifests"
)

// These are in no module: aws-load-balancer-controller 3 and runtime-class-manager have none.
var withoutDefinition = []string{"gateway.k8s.aws/LoadBalancerConfiguration", "gateway.k8s.aws/TargetGroupConfiguration", "runtime.spinkube.dev/Shim"}

// everything is each distinct object: what the roots make, the roots, and what is made of this repository and the charts.
func everything(t *testing.T) map[string]map[string]any {
	t.Helper()
	all, seen := map[string]map[string]any{}, map[string]bool{}
	addAll := func(source string, objects []object) {
		for i, o := range objects {
			if text := asJSON(o); !seen[text] && !slices.Contains(withoutDefinition, o.group()+"/"+o.kind()) {
				seen[text] = true
				all[fmt.Sprintf("%s: %d: %s", source, i, o)] = o
			}
		}
	}
	for _, tr := range trees(t) {
		addAll(tr.String(), append(slices.Clone(tr.rendered), tr.root))
		for name, objects := range tr.contents {
			addAll(tr.String()+": "+name, objects)
		}
	}
	for environment, byName := range renderedCharts(t) {
		for name, objects := range byName {
			addAll(environment+": "+name, slices.DeleteFunc(slices.Clone(objects), func(o object) bool {
				// The definitions are checked by those who make them. Of roles kubectl-validate refuses names with a colon, which
				// the API server takes.
				return o.kind() == "CustomResourceDefinition" || o.group() == "rbac.authorization.k8s.io"
			}))
		}
	}
	return all
}

// One object more of each kind has a field that is not there, and is refused.
func TestObjectsAreValid(t *testing.T) {
	all := everything(t)
	t.Logf("%d distinct objects", len(all))
	broken := map[string]map[string]any{}
	for _, fields := range all {
		o := object(fields)
		kind := o.group() + "/" + o.kind()
		if _, hasSpec := o.at("spec").(map[string]any); hasSpec && broken[kind] == nil {
			clone := o.clone()
			put(clone, "x", "spec", "typo")
			broken[kind] = clone
		}
	}
	for kind, fields := range broken {
		all[kind] = fields
	}
	found := manifests.Validate(t, all)
	for name, messages := range found {
		if broken[name] == nil {
			t.Errorf("%s: %s", name, strings.Join(messages, "; "))
		}
	}
	for kind := range broken {
		if found[kind] == nil {
			t.Errorf("%s: a field that is not there is not noticed", kind)
		}
	}
}
