package gitops

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// The origins of the definitions of custom resources: modules, and the files in them. Argo CD, Karpenter and cert-manager have the
// versions that are pinned; of the others the newest that is available as a module and builds with the Go of the tests.
var definitions = []struct{ module, files string }{
	{"github.com/argoproj/argo-cd/v3@v3.4.4", "manifests/crds/app*-crd.yaml"},
	{"github.com/aws/karpenter-provider-aws@v1.14.1", "pkg/apis/crds/*.yaml"},
	{"github.com/cert-manager/cert-manager@v1.21.2", "deploy/crds/cert-manager.io_*.yaml"},
	{"github.com/external-secrets/external-secrets@v1.3.2", "config/crds/bases/*.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_*.yaml"},
	{"github.com/spinkube/spin-operator@v0.6.1", "config/crd/bases/core.spinkube.dev_*.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.3", "config/crd/standard/gateway.networking.k8s.io_*s.yaml"},
}

// These are in no module: aws-load-balancer-controller 3 and runtime-class-manager have none.
var withoutDefinition = []string{"gateway.k8s.aws/LoadBalancerConfiguration", "gateway.k8s.aws/TargetGroupConfiguration", "runtime.spinkube.dev/Shim"}

func linkDefinitions(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, from := range definitions {
		files, err := filepath.Glob(filepath.Join(moduleFolder(t, from.module), from.files))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no %s", from.module, from.files)
		}
		for _, file := range files {
			if err := os.Symlink(file, filepath.Join(folder, filepath.Base(file))); err != nil {
				t.Fatal(err)
			}
		}
	}
	return folder
}

// validate returns what is wrong with objects, each of which has a name for messages.
func validate(t *testing.T, crds string, objects map[string]object) []string {
	t.Helper()
	folder := t.TempDir()
	from := map[string]string{}
	for name, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, fmt.Sprintf("%d.yaml", len(from)))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		from[file] = name
	}
	command := exec.Command(toolPath("kubectl-validate"), "--version", "1.30", "--local-crds", crds, "--output", "json", folder)
	// Without this it would use a cluster, if it found one.
	command.Env = append(os.Environ(), "KUBECONFIG=/nonexistent", "HOME=/nonexistent")
	out, failure := command.Output()
	var results map[string][]struct{ Status, Message string }
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%s, %s", failure, out)
	}
	if len(results) != len(objects) {
		t.Errorf("%d of %d objects were looked at", len(results), len(objects))
	}
	var found []string
	for file, statuses := range results {
		for _, status := range statuses {
			if status.Status != "Success" {
				found = append(found, from[file]+": "+status.Message)
			}
		}
	}
	return found
}

// everything is each distinct object: what the roots make, the roots, and what is made of this repository and the charts.
func everything(t *testing.T) map[string]object {
	t.Helper()
	all, seen := map[string]object{}, map[string]bool{}
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

// With the rules (CEL) that the definitions have. One object more of each kind has a field that is not there, and is refused.
func TestObjectsAreValid(t *testing.T) {
	all := everything(t)
	t.Logf("%d distinct objects", len(all))
	broken := map[string]object{}
	for _, o := range all {
		if _, hasSpec := o.at("spec").(map[string]any); hasSpec && broken[o.group()+"/"+o.kind()] == nil {
			clone := o.clone()
			put(clone, "x", "spec", "typo")
			broken[o.group()+"/"+o.kind()] = clone
		}
	}
	for kind, o := range broken {
		all[kind] = o
	}
	refused := map[string]bool{}
	for _, found := range validate(t, linkDefinitions(t), all) {
		name, _, _ := strings.Cut(found, ": ")
		if broken[name] == nil {
			t.Error(found)
		}
		refused[name] = true
	}
	for kind := range broken {
		if !refused[kind] {
			t.Errorf("%s: a field that is not there is not noticed", kind)
		}
	}
}
