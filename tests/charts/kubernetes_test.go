package charts

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// The newest Kubernetes whose API is available as a module, with its OpenAPI documents.
const newestKubernetes = "k8s.io/kubernetes@v1.36.3"

// The version that docs/cloudnativepg.md names.
const cloudNativePG = "github.com/cloudnative-pg/cloudnative-pg@v1.28.0"

// The origins of the definitions of custom resources: modules, and the files in them.
var definitions = []struct{ module, files string }{
	{"github.com/spinkube/spin-operator@v0.6.1", "config/crd/bases/core.spinkube.dev_*.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.3", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"},
	{"github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases/keda.sh_scaledobjects.yaml"},
	{"github.com/external-secrets/external-secrets@v1.3.2", "config/crds/bases/external-secrets.io_externalsecrets.yaml"},
	{"github.com/hashicorp/vault-secrets-operator@v0.10.0", "config/crd/bases/secrets.hashicorp.com_vaultstaticsecrets.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/monitoring.coreos.com_*.yaml"},
	{"github.com/cert-manager/cert-manager@v1.21.2", "deploy/crds/cert-manager.io_certificates.yaml"},
	// 1.10.2 has the same definitions, and needs a newer Go than the other modules.
	{"github.com/argoproj/argo-rollouts@v1.10.1", "manifests/crds/*-crd.yaml"},
	{cloudNativePG, "config/crd/bases/postgresql.cnpg.io_[cp]*s.yaml"},
}

// moduleFolder is the folder of a module, which go downloads if needed.
func moduleFolder(t *testing.T, module string) string {
	t.Helper()
	out, err := run("go", "mod", "download", "-json", module)
	var downloaded struct{ Dir, Error string }
	if parsed := json.Unmarshal([]byte(out), &downloaded); parsed != nil || err != nil {
		t.Fatalf("%s: %v %s", module, err, downloaded.Error)
	}
	return downloaded.Dir
}

// definitionsFolder has the definitions of all custom resources.
func definitionsFolder(t *testing.T) string {
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

// newestSchemas has the OpenAPI documents of the newest Kubernetes, named as kubectl-validate wants them.
func newestSchemas(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	documents := filepath.Join(moduleFolder(t, newestKubernetes), "api/openapi-spec/v3")
	files, err := filepath.Glob(filepath.Join(documents, "apis__*__*_openapi.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no OpenAPI documents", newestKubernetes)
	}
	files = append(files, filepath.Join(documents, "api__v1_openapi.json"))
	for _, file := range files {
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), "_openapi.json"), "__", "/") + ".json"
		link := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// distinctObjects writes every object that is rendered anywhere, and those of the charts' folder, to a file of its own,
// once, and returns where each is from.
func distinctObjects(t *testing.T, folder string) map[string]string {
	t.Helper()
	from := map[string]string{}
	add := func(source string, objects []object) {
		for _, object := range objects {
			text, err := yaml.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(folder, fmt.Sprintf("%x.yaml", sha256.Sum256(text)))
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
			from[file] = source + ": " + object.String()
		}
	}
	for _, r := range plainRenderings(t) {
		add(r.String(), r.objects)
	}
	for _, name := range []string{"namespaces.yaml", "cloudnativepg.yaml"} {
		objects, err := parseObjects(readFile(t, filepath.Join(root, "charts", name)))
		if err != nil {
			t.Fatal(err)
		}
		add(name, objects)
	}
	return from
}

// An API that the newest Kubernetes no longer has would be found in the oldest.
func TestNewestKubernetesHasTheApis(t *testing.T) {
	folder := newestSchemas(t)
	for _, r := range plainRenderings(t) {
		for _, object := range r.objects {
			of := object.GroupVersionKind().GroupVersion()
			document := filepath.Join(folder, "apis", of.Group, of.Version+".json")
			if of.Group == "" {
				document = filepath.Join(folder, "api", of.Version+".json")
			}
			if _, err := os.Stat(document); err != nil && scheme.Scheme.IsGroupRegistered(of.Group) {
				t.Errorf("%s: %s: %s is not there in %s", r, object, of, newestKubernetes)
			}
		}
	}
}

// By the schemas of the oldest Kubernetes that the charts are for and of the newest, and of custom resources by their
// definitions, with the rules (CEL) in them. What both take, those between take: within a version, an API only gets fields.
func TestObjectsAreValid(t *testing.T) {
	crds := definitionsFolder(t)
	objects := t.TempDir()
	from := distinctObjects(t, objects)
	oldest := strings.TrimSuffix(oldestKubernetes, ".0")
	for name, arguments := range map[string][]string{
		oldest:           {"--version", oldest},
		newestKubernetes: {"--version", oldest, "--local-schemas", newestSchemas(t)},
	} {
		t.Run(name, func(t *testing.T) {
			validate := exec.Command(toolPath("kubectl-validate"), append(arguments, "--local-crds", crds, "--output", "json", objects)...)
			// Without this it would use a cluster, if it found one.
			validate.Env = append(os.Environ(), "KUBECONFIG=/nonexistent", "HOME=/nonexistent")
			out, failure := validate.Output()
			var results map[string][]metav1.Status
			if err := json.Unmarshal(out, &results); err != nil {
				t.Fatalf("%s, %s", failure, out)
			}
			if len(results) != len(from) {
				t.Errorf("%d of %d objects were looked at", len(results), len(from))
			}
			for file, statuses := range results {
				for _, status := range statuses {
					if status.Status != metav1.StatusSuccess {
						t.Errorf("%s: %s", from[file], status.Message)
					}
				}
			}
			t.Logf("%d distinct objects", len(results))
		})
	}
}

// Reads them like the API server with strict field validation, by the types of the tests' client library.
func TestFieldsAreKnown(t *testing.T) {
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, r := range plainRenderings(t) {
		for _, object := range r.objects {
			if !scheme.Scheme.IsGroupRegistered(object.GroupVersionKind().Group) {
				continue
			}
			text, err := object.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := strict.Decode(text, &schema.GroupVersionKind{}, nil); err != nil {
				t.Errorf("%s: %s: %s", r, object, err)
			}
		}
	}
}
