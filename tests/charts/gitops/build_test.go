package gitops

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"charts/manifests"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var environments = []string{"dev", "staging", "prod"}

// The variants that no environment has, with the settings that each needs.
var variants = map[string]string{
	"gateway":       "\n  gateway-api: v1.6.3\n",
	"ingress-nginx": "\n  ingress-nginx: 4.15.1\n",
}

// tree is what Argo CD has in an environment.
type tree struct {
	// folder is infra/gitops, or a copy of it with a variant.
	folder, environment, variant string
	settings                     map[string]string
	// root is the Application that is applied by hand; rendered is what it makes.
	root     object
	rendered []object
	// contents has, by the name of the Application, what it makes, where that is here or in our chart.
	contents map[string][]object
}

func (tr *tree) String() string {
	if tr.variant == "" {
		return tr.environment
	}
	return tr.environment + " with " + tr.variant
}

func (tr *tree) applications() []object { return tr.ofKind("Application") }
func (tr *tree) projects() []object     { return tr.ofKind("AppProject") }

func (tr *tree) ofKind(kind string) []object {
	var found []object
	for _, o := range tr.rendered {
		if o.kind() == kind {
			found = append(found, o)
		}
	}
	return found
}

// named is the object of a kind with a name, or nil.
func (tr *tree) named(kind, name string) object {
	for _, o := range tr.ofKind(kind) {
		if o.name() == name {
			return o
		}
	}
	return nil
}

func (tr *tree) clone() *tree {
	clone := *tr
	clone.settings = map[string]string{}
	for name, value := range tr.settings {
		clone.settings[name] = value
	}
	clone.root = tr.root.clone()
	clone.rendered = cloneAll(tr.rendered)
	clone.contents = map[string][]object{}
	for name, objects := range tr.contents {
		clone.contents[name] = cloneAll(objects)
	}
	return &clone
}

func cloneAll(objects []object) []object {
	var clones []object
	for _, o := range objects {
		clones = append(clones, o.clone())
	}
	return clones
}

const ours = "https://github.com/OWNER/REPOSITORY.git"

// repositoryPath is where a path of our repository is in the tree's folder.
func (tr *tree) repositoryPath(path string) string {
	return filepath.Join(tr.folder, strings.TrimPrefix(path, "infra/gitops/"))
}

// kustomize builds a folder as Argo CD does: files of a folder come from this folder only.
func kustomize(t *testing.T, folder string) []object {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatalf("%s: %s", folder, err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

func parse(t *testing.T, text string) []object {
	t.Helper()
	parsed, err := manifests.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var objects []object
	for _, o := range parsed {
		objects = append(objects, o.Object)
	}
	return objects
}

func buildTree(t *testing.T, folder, environment, variant string) *tree {
	t.Helper()
	tr := &tree{folder: folder, environment: environment, variant: variant, contents: map[string][]object{}}
	of := filepath.Join(folder, "environments", environment)
	var settings struct{ Data map[string]string }
	if err := yaml.Unmarshal([]byte(manifests.ReadFile(t, of, "settings.yaml")), &settings); err != nil {
		t.Fatal(err)
	}
	tr.settings = settings.Data
	tr.root = parse(t, manifests.ReadFile(t, of, "root.yaml"))[0]
	tr.rendered = kustomize(t, of)
	for _, application := range tr.applications() {
		for _, source := range application.list("spec", "sources") {
			if path := text(at(source, "path")); path != "" && text(at(source, "repoURL")) == ours {
				tr.contents[application.name()] = kustomize(t, tr.repositoryPath(path))
			}
		}
	}
	tr.contents["hello-api"] = renderApplication(t, tr, "hello-api", filepath.Join(manifests.Root, "charts/hello-api"))
	return tr
}

// withVariant is a copy of infra/gitops in which prod has a variant, added as its README says.
func withVariant(t *testing.T, folder, variant, settings string) string {
	t.Helper()
	copied := filepath.Join(folder, variant)
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(manifests.Root, "infra/gitops"))); err != nil {
		t.Fatal(err)
	}
	edit := func(name string, change func(string) string) {
		path := filepath.Join(copied, "environments/prod", name)
		if err := os.WriteFile(path, []byte(change(manifests.ReadFile(t, path))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("settings.yaml", func(text string) string { return text + settings })
	edit("kustomization.yaml", func(text string) string {
		changed := strings.Replace(text, "components:\n", "components:\n  - ../../variants/"+variant+"\n", 1)
		if changed == text {
			t.Fatal("there are no components")
		}
		return changed
	})
	return copied
}

var built struct {
	sync.Once
	trees []*tree
}

// trees are all environments, and prod with each variant.
func trees(t *testing.T) []*tree {
	t.Helper()
	built.Do(func() {
		for _, environment := range environments {
			built.trees = append(built.trees, buildTree(t, filepath.Join(manifests.Root, "infra/gitops"), environment, ""))
		}
		// Kept until all tests have ended.
		folder, err := os.MkdirTemp("", "gitops")
		if err != nil {
			t.Fatal(err)
		}
		temporary = folder
		for variant, settings := range variants {
			built.trees = append(built.trees, buildTree(t, withVariant(t, folder, variant, settings), "prod", variant))
		}
	})
	if len(built.trees) != len(environments)+len(variants) {
		t.Fatal("not all trees could be built")
	}
	return built.trees
}

// treeOf is one of them.
func treeOf(t *testing.T, name string) *tree {
	t.Helper()
	for _, tr := range trees(t) {
		if tr.String() == name {
			return tr
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}
