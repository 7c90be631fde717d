// Package manifests has what the tests of charts and of infra/gitops share: programs, modules, parsing and validation.
package manifests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	yamlstream "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// OldestKubernetes is the oldest version that the charts support. Without it helm 3 would assume 1.20.
const OldestKubernetes = "1.30.0"

// Root is the folder of the repository. The tests of a package run in its folder.
var Root = func() string {
	folder, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(folder, "Cargo.lock")); missing == nil {
			return folder
		}
		if folder == filepath.Dir(folder) {
			break
		}
		folder = filepath.Dir(folder)
	}
	panic("the tests are in no checkout")
}()

// ToolPath is where scripts/install-chart-tools puts a tool.
func ToolPath(tool string) string {
	return filepath.Join(Root, "target/tools/bin", tool)
}

// RequireTools ends the process if one of the tools is not there.
func RequireTools(tools ...string) {
	for _, tool := range tools {
		if _, err := os.Stat(ToolPath(tool)); err != nil {
			fmt.Fprintln(os.Stderr, "run scripts/install-chart-tools first:", err)
			os.Exit(1)
		}
	}
}

// Run returns the output of a program, or an error that contains what it wrote as errors.
func Run(program string, arguments ...string) (string, error) {
	var out, errs bytes.Buffer
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		return out.String(), errors.New(strings.TrimSpace(fmt.Sprintf("%s%s", errs.String(), err)))
	}
	return out.String(), nil
}

// ReadFile returns the text of a file, whose path is given in parts.
func ReadFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ModuleFolder is the folder of a Go module, which go downloads if needed.
func ModuleFolder(t *testing.T, module string) string {
	t.Helper()
	out, err := Run("go", "mod", "download", "-json", module)
	var downloaded struct{ Dir, Error string }
	if parsed := json.Unmarshal([]byte(out), &downloaded); parsed != nil || err != nil {
		t.Fatalf("%s: %v %s", module, err, downloaded.Error)
	}
	return downloaded.Dir
}

// CloudNativePG is the version that docs/cloudnativepg.md names.
const CloudNativePG = "github.com/cloudnative-pg/cloudnative-pg@v1.28.0"

// The origins of the definitions of custom resources: modules, and the files in them. Argo CD, Karpenter and cert-manager have the
// versions that infra/gitops pins; of the others the newest that is available as a module and builds with the Go of the tests.
var definitions = []struct{ module, files string }{
	{"github.com/argoproj/argo-cd/v3@v3.4.4", "manifests/crds/app*-crd.yaml"},
	// 1.10.2 has the same definitions, and needs a newer Go than the other modules.
	{"github.com/argoproj/argo-rollouts@v1.10.1", "manifests/crds/*-crd.yaml"},
	{"github.com/aws/karpenter-provider-aws@v1.14.1", "pkg/apis/crds/*.yaml"},
	{"github.com/cert-manager/cert-manager@v1.21.2", "deploy/crds/cert-manager.io_*.yaml"},
	{"github.com/external-secrets/external-secrets@v1.3.2", "config/crds/bases/*.yaml"},
	{"github.com/hashicorp/vault-secrets-operator@v0.10.0", "config/crd/bases/secrets.hashicorp.com_vaultstaticsecrets.yaml"},
	{"github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases/keda.sh_scaledobjects.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_*.yaml"},
	{"github.com/spinkube/spin-operator@v0.6.1", "config/crd/bases/core.spinkube.dev_*.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.3", "config/crd/standard/gateway.networking.k8s.io_*s.yaml"},
	{CloudNativePG, "config/crd/bases/postgresql.cnpg.io_[cp]*s.yaml"},
}

// definitionsFolder has the definitions of all custom resources, by links.
func definitionsFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, from := range definitions {
		files, err := filepath.Glob(filepath.Join(ModuleFolder(t, from.module), from.files))
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

// Validate checks objects, each of which has a name for messages, against the schemas of the oldest Kubernetes and the definitions of
// custom resources, with the rules (CEL) in them. It returns what is wrong, by those names. Options are for kubectl-validate.
func Validate(t *testing.T, objects map[string]map[string]any, options ...string) map[string][]string {
	t.Helper()
	folder := t.TempDir()
	from := map[string]string{}
	for name, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, fmt.Sprintf("%d.yaml", len(from)))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		from[file] = name
	}
	options = append(options, "--version", strings.TrimSuffix(OldestKubernetes, ".0"), "--local-crds", definitionsFolder(t), "--output", "json", folder)
	command := exec.Command(ToolPath("kubectl-validate"), options...)
	// Without this it would use a cluster, if it found one.
	command.Env = append(os.Environ(), "KUBECONFIG=/nonexistent", "HOME=/nonexistent")
	out, failure := command.Output()
	var results map[string][]metav1.Status
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%s, %s", failure, out)
	}
	if len(results) != len(objects) {
		t.Errorf("%d of %d objects were looked at", len(results), len(objects))
	}
	found := map[string][]string{}
	for file, statuses := range results {
		for _, status := range statuses {
			if status.Status != metav1.StatusSuccess {
				found[from[file]] = append(found[from[file]], status.Message)
			}
		}
	}
	return found
}

// Parse reads the documents of a YAML file. A List, whose objects are installed one by one, is taken apart.
func Parse(text string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := yamlstream.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		// Strict: a key twice in one map is an error.
		asJSON, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return nil, fmt.Errorf("%w in:\n%s", err, document)
		}
		if string(asJSON) == "null" {
			continue
		}
		parsed := &unstructured.Unstructured{}
		if err := parsed.UnmarshalJSON(asJSON); err != nil {
			return nil, fmt.Errorf("%w in:\n%s", err, document)
		}
		items, err := itemsOf(parsed)
		if err != nil {
			return nil, fmt.Errorf("%w in:\n%s", err, document)
		}
		objects = append(objects, items...)
	}
}

func itemsOf(object *unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	if object.GetAPIVersion() != "v1" || object.GetKind() != "List" {
		return []*unstructured.Unstructured{object}, nil
	}
	list, err := object.ToList()
	if err != nil {
		return nil, err
	}
	var items []*unstructured.Unstructured
	for i := range list.Items {
		items = append(items, &list.Items[i])
	}
	return items, nil
}
