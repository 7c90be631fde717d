package charts

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"charts/manifests"
)

// A field that helm has set, and that disappears, becomes 1. So a workload that an autoscaler scales keeps its `replicas`, until
// somebody else owns it. The cluster is a server here that has a few objects; tests/cluster has a real one.

// inCluster are objects as an API server gives them, by their paths.
type inCluster map[string]map[string]any

const (
	deploymentPath = "/apis/apps/v1/namespaces/app-space/deployments/hello-api"
	rolloutPath    = "/apis/argoproj.io/v1alpha1/namespaces/app-space/rollouts/hello-api"
	hpaPath        = "/apis/autoscaling/v2/namespaces/app-space/horizontalpodautoscalers/hello-api"
	kedaHPAPath    = "/apis/autoscaling/v2/namespaces/app-space/horizontalpodautoscalers/keda-hpa-hello-api"
)

// groupsInCluster are what the server tells of its API.
var groupsInCluster = map[string]map[string]string{
	"v1":                   {"ConfigMap": "configmaps", "Pod": "pods", "Service": "services", "ServiceAccount": "serviceaccounts"},
	"apps/v1":              {"Deployment": "deployments"},
	"policy/v1":            {"PodDisruptionBudget": "poddisruptionbudgets"},
	"keda.sh/v1alpha1":     {"ScaledObject": "scaledobjects"},
	"autoscaling/v2":       {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
	"argoproj.io/v1alpha1": {"Rollout": "rollouts"},
}

func (c inCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(value any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(value)
	}
	group := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/apis/"), "/api/")
	switch resources := groupsInCluster[group]; {
	case r.URL.Path == "/version":
		answer(map[string]any{"major": "1", "minor": "30", "gitVersion": "v1.30.0"})
	case r.URL.Path == "/api":
		answer(map[string]any{"kind": "APIVersions", "versions": []any{"v1"}})
	case r.URL.Path == "/apis":
		var groups []any
		for version := range groupsInCluster {
			name, number, isGroup := strings.Cut(version, "/")
			if !isGroup {
				continue
			}
			groups = append(groups, map[string]any{"name": name, "versions": []any{map[string]any{"groupVersion": version, "version": number}}})
		}
		answer(map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
	case resources != nil:
		var list []any
		for kind, name := range resources {
			list = append(list, map[string]any{"name": name, "kind": kind, "namespaced": true, "verbs": []any{"get"}})
		}
		answer(map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": list})
	case c[r.URL.Path] != nil:
		answer(c[r.URL.Path])
	default:
		w.WriteHeader(http.StatusNotFound)
		answer(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
	}
}

// running is a workload with pods. Whoever owns its template is helm, by an update or an apply.
func running(apiVersion, kind string, replicas int, operation string, othersOwnReplicas, isKept bool) map[string]any {
	own := map[string]any{"f:template": map[string]any{}}
	fields := []any{map[string]any{"manager": "helm", "operation": operation, "fieldsV1": map[string]any{"f:spec": own}}}
	if othersOwnReplicas {
		fields = append(fields, map[string]any{
			"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
			"fieldsV1": map[string]any{"f:spec": map[string]any{"f:replicas": map[string]any{}}},
		})
	} else {
		own["f:replicas"] = map[string]any{}
	}
	// The status has a field of this name, too, and no spec.
	fields = append(fields, map[string]any{
		"manager": "kube-controller-manager", "operation": "Update", "subresource": "status",
		"fieldsV1": map[string]any{"f:status": map[string]any{"f:replicas": map[string]any{}}},
	})
	metadata := map[string]any{"name": "hello-api", "namespace": "app-space", "managedFields": fields}
	if isKept {
		metadata["annotations"] = map[string]any{"hello-api/replicas": "kept"}
	}
	return map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": map[string]any{"replicas": replicas},
	}
}

func deploymentOf(replicas int, operation string, othersOwnReplicas, isKept bool) map[string]any {
	return running("apps/v1", "Deployment", replicas, operation, othersOwnReplicas, isKept)
}

var hpa = map[string]any{
	"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
	"metadata": map[string]any{"name": "hello-api", "namespace": "app-space"},
}

func TestAutoscaledReleaseKeepsItsPods(t *testing.T) {
	const (
		update, apply = "Update", "Apply"
		byHPA         = "autoscaling: {enabled: true, minReplicas: 3}"
		byKEDA        = "keda: {enabled: true, minReplicas: 0, triggers: [{type: cpu}]}"
		none          = int64(0)
	)
	rollout := func(values string) string { return "rollout: {enabled: true}\n" + values }
	for _, c := range []struct {
		claim, values string
		cluster       inCluster
		expected      int64
	}{
		{"an installation", byHPA, inCluster{}, none},
		{"a scaler is switched on, by helm 3", byHPA, inCluster{deploymentPath: deploymentOf(4, update, false, false)}, 4},
		{"a scaler is switched on, by an apply", byHPA, inCluster{deploymentPath: deploymentOf(4, apply, false, false)}, 4},
		{"never below the minimum", byHPA, inCluster{deploymentPath: deploymentOf(1, update, false, false)}, 3},
		{"a scaler of KEDA is switched on", byKEDA, inCluster{deploymentPath: deploymentOf(4, update, false, false)}, 4},
		{"a HorizontalPodAutoscaler is replaced by KEDA's", byKEDA, inCluster{deploymentPath: deploymentOf(4, update, true, false), hpaPath: hpa}, 4},
		{"KEDA scales it from the beginning", byKEDA, inCluster{deploymentPath: deploymentOf(7, update, true, false), kedaHPAPath: hpa}, none},
		{"the next upgrade, by helm 3", byHPA, inCluster{deploymentPath: deploymentOf(7, update, true, true), hpaPath: hpa}, 7},
		{"the next upgrade, by an apply", byHPA, inCluster{deploymentPath: deploymentOf(7, apply, true, true), hpaPath: hpa}, none},
		{"the next upgrade, by an apply, before it was scaled", byHPA, inCluster{deploymentPath: deploymentOf(4, apply, false, true), hpaPath: hpa}, 4},
		{"scaled from the beginning, by helm 3", byHPA, inCluster{deploymentPath: deploymentOf(7, update, true, false), hpaPath: hpa}, none},
		{"scaled from the beginning, by an apply", byHPA, inCluster{deploymentPath: deploymentOf(7, apply, true, false), hpaPath: hpa}, none},
		{"without a scaler, the values decide", "replicas: 2", inCluster{deploymentPath: deploymentOf(4, update, false, true)}, 2},
		{"a Deployment becomes a Rollout", rollout(byHPA), inCluster{deploymentPath: deploymentOf(9, apply, true, false), hpaPath: hpa}, 9},
		{"a Rollout becomes a Deployment", byHPA, inCluster{rolloutPath: running("argoproj.io/v1alpha1", "Rollout", 9, apply, true, false), hpaPath: hpa}, 9},
		{"a scaler of a Rollout is switched on", rollout(byHPA), inCluster{rolloutPath: running("argoproj.io/v1alpha1", "Rollout", 5, update, false, false)}, 5},
		{"a Rollout is scaled", rollout(byHPA), inCluster{rolloutPath: running("argoproj.io/v1alpha1", "Rollout", 9, apply, true, true), hpaPath: hpa}, none},
	} {
		for _, helm := range []string{"helm", "helm3"} {
			t.Run(c.claim+", "+helm, func(t *testing.T) {
				t.Parallel()
				o := workloadInCluster(t, helm, c.values, c.cluster)
				replicas, _ := o.at("spec", "replicas").(int64)
				_, isKept := o.GetAnnotations()["hello-api/replicas"]
				if replicas != c.expected {
					t.Errorf("%s: %d replicas, and not %d", o, replicas, c.expected)
				}
				if expected := c.expected != none && !strings.HasPrefix(c.values, "replicas"); isKept != expected {
					t.Errorf("%s: annotated: %t", o, isKept)
				}
			})
		}
	}
}

// workloadInCluster is what runs the pods, as helm renders it for a cluster.
func workloadInCluster(t *testing.T, helm, values string, cluster inCluster) object {
	t.Helper()
	server := httptest.NewServer(cluster)
	t.Cleanup(server.Close)
	// Not TempDir, whose name has that of the test: helm takes a comma for the end of a path.
	folder, err := os.MkdirTemp("", "lookup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	kubeconfig, file := filepath.Join(folder, "kubeconfig"), filepath.Join(folder, "values.yaml")
	for name, text := range map[string]string{
		kubeconfig: "apiVersion: v1\nkind: Config\ncurrent-context: test\n" +
			"clusters: [{name: test, cluster: {server: '" + server.URL + "'}}]\n" +
			"contexts: [{name: test, context: {cluster: test}}]\n",
		file: "store: postgres\nvariables: {database_url: postgres://hello_api@db/people}\n" + values + "\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := manifests.Run(manifests.ToolPath(helm), "template", "hello-api", helloAPI.folder, "--namespace", "app-space", "--is-upgrade",
		"--dry-run=server", "--disable-openapi-validation", "--kube-version", manifests.OldestKubernetes, "--api-versions", "argoproj.io/v1alpha1/Rollout",
		"--kubeconfig", kubeconfig, "--values", file)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := parseObjects(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() == "Deployment" || o.GetKind() == "Rollout" {
			return o
		}
	}
	t.Fatal("nothing runs the pods")
	return object{}
}
