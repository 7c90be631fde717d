package charts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"charts/manifests"
	"sigs.k8s.io/yaml"
)

// needPromtool skips the test if there is no promtool, and prints what is left out.
func needPromtool(t *testing.T, what string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		fmt.Printf("skipped: %s; there is no promtool\n", what)
		t.Skip(err)
	}
}

// promtoolRules runs `promtool check rules` or `promtool test rules` on a file with this content.
func promtoolRules(t *testing.T, command string, content any) error {
	t.Helper()
	text, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := manifests.Run("promtool", command, "rules", file); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
