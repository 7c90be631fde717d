package charts

import (
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"charts/manifests"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// A preset, rendered like in scripts/minikube.
func preset(t *testing.T, chart chart, file, namespace string) rendering {
	t.Helper()
	r := rendering{scenario: scenario{chart, file}, naming: namings[0]}
	r.scenario.chart.namespace = namespace
	if err := r.render(); err != nil {
		t.Fatal(err)
	}
	return r
}

// peers are the peers that NetworkPolicies allow for pods with these labels, in both directions.
func (r rendering) peers(labels map[string]string) (in, out []networkingv1.NetworkPolicyPeer) {
	for _, policy := range r.ofKind("networking.k8s.io", "NetworkPolicy") {
		spec := as[networkingv1.NetworkPolicy](policy).Spec
		if !selects(&spec.PodSelector, labels) {
			continue
		}
		for _, rule := range spec.Ingress {
			in = append(in, rule.From...)
		}
		for _, rule := range spec.Egress {
			out = append(out, rule.To...)
		}
	}
	return in, out
}

// reaches is true if one of the peers selects pods with these labels in a namespace.
func reaches(peers []networkingv1.NetworkPolicyPeer, namespace string, labels map[string]string) bool {
	namespaceLabels := map[string]string{"kubernetes.io/metadata.name": namespace}
	return slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		return peer.NamespaceSelector != nil && selects(peer.NamespaceSelector, namespaceLabels) &&
			(peer.PodSelector == nil || selects(peer.PodSelector, labels))
	})
}

// On minikube both charts are installed: the API finds the database, and the Secret that is created for it has the password.
func TestPresetsForMinikubeFitTogether(t *testing.T) {
	db := preset(t, postgresDB, "values.local.yaml", "db-space")
	server := db.selected("db-space", equalitySelector(map[string]string{"app.kubernetes.io/component": "database"}))[0]
	intoDatabase, _ := db.peers(server.template.Labels)

	for file, namespace := range map[string]string{"values.local.yaml": "app-space", "values.spinapp.yaml": "spin-space"} {
		r := preset(t, helloAPI, file, namespace)
		pods := r.selected(namespace, equalitySelector(map[string]string{"app.kubernetes.io/component": "api"}))[0]
		_, outOfPods := r.peers(pods.template.Labels)
		if !reaches(outOfPods, "db-space", server.template.Labels) {
			t.Errorf("%s: its NetworkPolicy does not let the API out to the database", file)
		}
		if !reaches(intoDatabase, namespace, pods.template.Labels) {
			t.Errorf("%s: the database's NetworkPolicy does not let the API in", file)
		}

		text, _ := at(r.values, "variables", "database_url").(string)
		address, err := url.Parse(text)
		if err != nil {
			t.Fatalf("%s: %s", file, err)
		}
		service := strings.TrimSuffix(address.Hostname(), ".db-space.svc.cluster.local")
		if !slices.ContainsFunc(db.services(), func(s corev1.Service) bool { return s.Name == service }) || address.Port() != "5432" {
			t.Errorf("%s: there is no %s", file, address.Host)
		}
		if role := at(db.values, "api", "role"); address.User.String() != role {
			t.Errorf("%s: role %s, and the database has %s", file, address.User, role)
		}
		if name := at(db.values, "database"); address.Path != "/"+name.(string) {
			t.Errorf("%s: database %s, and there is %s", file, address.Path, name)
		}
		made := db.made(namespace)
		for _, to := range pods.references() {
			if to.kind == "Secret" && !made[to] {
				t.Errorf("%s: %s is not made by %s: %v", file, to, postgresDB.name, slices.Collect(maps.Keys(made)))
			}
		}
	}
}

// A preset that is not for development must not create tables, and none has static keys.
func TestOnlyDevelopmentCreatesTables(t *testing.T) {
	local := 0
	for _, scenario := range scenarios(helloAPI) {
		if scenario.isToggle() {
			continue
		}
		values, err := scenario.values()
		if err != nil {
			t.Fatal(err)
		}
		isLocal := at(values, "dynamodb", "local", "enabled") == true
		if isLocal {
			local++
		}
		if at(values, "dynamodb", "createTable") != isLocal {
			t.Errorf("%s: createTable is for DynamoDB Local, and only there", scenario)
		}
		if name := at(values, "dynamodb", "existingSecret", "name"); name != "" {
			t.Errorf("%s: static keys, from %s", scenario, name)
		}
	}
	if local != 1 {
		t.Errorf("%d presets with DynamoDB Local, and not one", local)
	}
}

// Alerts and dashboard are the files of observability/, where they are tested.
func TestAlertsAndDashboardAreThoseOfObservability(t *testing.T) {
	files := filepath.Join(helloAPI.folder, "files")
	for _, name := range []string{"alerts.yaml", "dashboard.json"} {
		if expected, copied := manifests.ReadFile(t, filepath.Join(manifests.Root, "observability", name)), manifests.ReadFile(t, filepath.Join(files, name)); expected != copied {
			t.Errorf("charts/hello-api/files/%s is not observability/%s", name, name)
		}
	}
	seen := 0
	for _, r := range plainRenderings(t) {
		for _, rule := range r.ofKind("monitoring.coreos.com", "PrometheusRule") {
			seen++
			text := manifests.ReadFile(t, filepath.Join(manifests.Root, "observability/alerts.yaml"))
			if runbook, _ := at(r.values, "prometheusRule", "runbook").(string); runbook != "" {
				text = strings.ReplaceAll(text, exampleRunbook, runbook)
			}
			var expected map[string]any
			if err := yaml.Unmarshal([]byte(text), &expected); err != nil {
				t.Fatal(err)
			}
			if !sameJSON(expected["groups"], rule.at("spec", "groups")) {
				t.Errorf("%s: %s: other groups than observability/alerts.yaml has", r, rule)
			}
		}
		for _, o := range r.ofKind("", "ConfigMap") {
			for name, content := range o.labelsAt("data") {
				if !strings.HasSuffix(name, ".json") {
					continue
				}
				seen++
				expected := manifests.ReadFile(t, filepath.Join(manifests.Root, "observability/dashboard.json"))
				if strings.TrimSpace(content) != strings.TrimSpace(expected) {
					t.Errorf("%s: %s: another dashboard than observability/dashboard.json", r, o)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no scenario has a PrometheusRule or a dashboard")
	}
}

// promtool checks the alerts that the chart renders.
func TestPromtoolTakesTheAlerts(t *testing.T) {
	needPromtool(t, "alerts as the chart renders them")
	for _, r := range plainRenderings(t) {
		for _, rule := range r.ofKind("monitoring.coreos.com", "PrometheusRule") {
			if err := promtoolRules(t, "check", rule.at("spec")); err != nil {
				t.Errorf("%s: %s", r, err)
			}
		}
	}
}
