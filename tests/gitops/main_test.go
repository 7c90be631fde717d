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
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the folder of the repository.
var root = func() string {
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return root
}()

func TestMain(m *testing.M) {
	for _, tool := range []string{"helm", "kubectl-validate"} {
		if _, err := os.Stat(toolPath(tool)); err != nil {
			fmt.Fprintln(os.Stderr, "run scripts/install-chart-tools first:", err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if temporary != "" {
		os.RemoveAll(temporary)
	}
	os.Exit(code)
}

// temporary has the copies of infra/gitops, if there are any.
var temporary string

// toolPath is where scripts/install-chart-tools puts a tool.
func toolPath(tool string) string {
	return filepath.Join(root, "target/tools/bin", tool)
}

// run returns the output of a program, or an error that contains what it wrote.
func run(program string, arguments ...string) (string, error) {
	out, err := exec.Command(program, arguments...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%s: %s", err, failed.Stderr)
	}
	return string(out), err
}

// moduleFolder is the folder of a Go module, which go downloads if needed.
func moduleFolder(t *testing.T, module string) string {
	t.Helper()
	out, err := run("go", "mod", "download", "-json", module)
	var downloaded struct{ Dir, Error string }
	if parsed := json.Unmarshal([]byte(out), &downloaded); parsed != nil || err != nil {
		t.Fatalf("%s: %v %s", module, err, downloaded.Error)
	}
	return downloaded.Dir
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}
