package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"charts/manifests"
)

// Checks of kube-score that the charts do not follow.
var kubeScoreExceptions = []string{
	// Tags never move, so a node need not ask the registry before each start.
	"container-image-pull-policy",
	// The root is read-only, and volumes have size limits.
	"container-ephemeral-storage-request-and-limit",
	// topologySpreadConstraints spread the pods, and do not prevent scheduling.
	"deployment-has-host-podantiaffinity",
}

// Checks that single presets do not follow.
var kubeScoreExceptionsOf = map[string][]string{
	// For a first try, on any cluster: with birthdays in memory there is one pod.
	"hello-api/values.yaml": {"pod-networkpolicy", "deployment-replicas"},
	// The operator creates the Service and the pods.
	"hello-api/values.spinapp.yaml":          {"ingress-targets-service", "networkpolicy-targets-pod"},
	"hello-api/values.spinapp-dynamodb.yaml": {"networkpolicy-targets-pod"},
	"hello-api/values.spinapp-redis.yaml":    {"networkpolicy-targets-pod"},
	// It does not know Rollouts.
	"hello-api/values.rollout.yaml": {"horizontalpodautoscaler-has-target", "networkpolicy-targets-pod", "service-targets-pod"},
	// DynamoDB Local is one pod, because two would each have half of the people; its image's account is 1000; and without a signature
	// it only answers that its port is open.
	"hello-api/values.dynamodb-local.yaml": {
		"deployment-replicas", "deployment-strategy", "container-security-context-user-group-id", "pod-probes-identical",
	},
	// The account of the official image is 70.
	"postgres-db/values.yaml":       {"container-security-context-user-group-id"},
	"postgres-db/values.local.yaml": {"container-security-context-user-group-id"},
}

// kube-score checks the presets.
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
			"--kubernetes-version", "v" + strings.TrimSuffix(manifests.OldestKubernetes, ".0")}
		for _, test := range slices.Concat(kubeScoreExceptions, kubeScoreExceptionsOf[r.scenario.String()]) {
			arguments = append(arguments, "--ignore-test", test)
		}
		out, err := exec.Command(manifests.ToolPath("kube-score"), append(arguments, file)...).Output()
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
