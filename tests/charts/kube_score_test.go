package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What kube-score asks for, and the charts do not do.
var kubeScoreExceptions = []string{
	// Tags are never moved, so that a node need not ask the registry before each start.
	"container-image-pull-policy",
	// The root is read-only, and volumes are bounded.
	"container-ephemeral-storage-request-and-limit",
	// Pods are spread by topologySpreadConstraints, which do not keep them from being scheduled.
	"deployment-has-host-podantiaffinity",
}

// And what single presets do not do.
var kubeScoreExceptionsOf = map[string][]string{
	// For a first look, on any cluster: with birthdays in memory, there is one pod.
	"hello-api/values.yaml": {"pod-networkpolicy", "deployment-replicas"},
	// The operator makes the Service and the pods.
	"hello-api/values.spinapp.yaml": {"ingress-targets-service", "networkpolicy-targets-pod"},
	// The account of the official image is 70.
	"postgres-db/values.yaml":       {"container-security-context-user-group-id"},
	"postgres-db/values.local.yaml": {"container-security-context-user-group-id"},
}

// Another's opinion on the presets.
func TestKubeScoreFindsNothingToComplainOf(t *testing.T) {
	for _, r := range plainRenderings(t) {
		if r.scenario.isToggle() {
			continue
		}
		file := filepath.Join(t.TempDir(), "rendered.yaml")
		if err := os.WriteFile(file, []byte(r.text), 0o644); err != nil {
			t.Fatal(err)
		}
		arguments := []string{"score", "--output-format", "ci", "--exit-one-on-warning", "--ignore-container-cpu-limit",
			"--kubernetes-version", "v" + strings.TrimSuffix(oldestKubernetes, ".0")}
		for _, test := range slices.Concat(kubeScoreExceptions, kubeScoreExceptionsOf[r.scenario.String()]) {
			arguments = append(arguments, "--ignore-test", test)
		}
		out, err := exec.Command(toolPath("kube-score"), append(arguments, file)...).Output()
		if err == nil {
			continue
		}
		t.Errorf("%s: %s", r.scenario, err)
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "[CRITICAL]") || strings.HasPrefix(line, "[WARNING]") {
				t.Error(strings.TrimSpace(line))
			}
		}
	}
}
