package charts

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"charts/manifests"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// The newest Kubernetes whose API is available as a module, with its OpenAPI documents.
const newestKubernetes = "k8s.io/kubernetes@v1.36.3"

// newestSchemas has the OpenAPI documents of the newest Kubernetes, named as kubectl-validate wants them.
func newestSchemas(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	documents := filepath.Join(manifests.ModuleFolder(t, newestKubernetes), "api/openapi-spec/v3")
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

// distinctObjects are the fields of every object that is rendered anywhere, and of those of the charts' folder, once, by where it is from.
func distinctObjects(t *testing.T) map[string]map[string]any {
	t.Helper()
	all, seen := map[string]map[string]any{}, map[[sha256.Size]byte]bool{}
	add := func(source string, objects []object) {
		for i, object := range objects {
			text, err := yaml.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(text); !seen[sum] {
				seen[sum] = true
				all[fmt.Sprintf("%s: %d: %s", source, i, object)] = object.Object
			}
		}
	}
	for _, r := range plainRenderings(t) {
		add(r.String(), r.objects)
	}
	for _, name := range []string{"namespaces.yaml", "cloudnativepg.yaml"} {
		objects, err := parseObjects(manifests.ReadFile(t, manifests.Root, "charts", name))
		if err != nil {
			t.Fatal(err)
		}
		add(name, objects)
	}
	return all
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
	objects := distinctObjects(t)
	for name, options := range map[string][]string{
		manifests.OldestKubernetes: nil,
		newestKubernetes:           {"--local-schemas", newestSchemas(t)},
	} {
		t.Run(name, func(t *testing.T) {
			for from, messages := range manifests.Validate(t, objects, options...) {
				t.Errorf("%s: %s", from, strings.Join(messages, "; "))
			}
			t.Logf("%d distinct objects", len(objects))
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
