package charts

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"charts/manifests"
)

// The only object of a kind in charts/cloudnativepg.yaml.
func ofCloudNativePG(t *testing.T, kind string) object {
	t.Helper()
	objects, err := parseObjects(manifests.ReadFile(t, filepath.Join(manifests.Root, "charts/cloudnativepg.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() == kind {
			return o
		}
	}
	t.Fatalf("no %s", kind)
	return object{}
}

// keysOfApplicationSecret are those of the Secret `<cluster>-app`, by CloudNativePG's source.
func keysOfApplicationSecret(t *testing.T) []string {
	t.Helper()
	source := manifests.ReadFile(t, filepath.Join(manifests.ModuleFolder(t, manifests.CloudNativePG), "pkg/specs/secrets.go"))
	_, data, _ := strings.Cut(source, "StringData: map[string]string{")
	var keys []string
	for _, match := range regexp.MustCompile(`(?m)^\t\t\t"([a-z-]+)":`).FindAllStringSubmatch(data, -1) {
		keys = append(keys, match[1])
	}
	if !slices.Contains(keys, "jdbc-uri") {
		t.Fatalf("keys of the Secret of an application: %v", keys)
	}
	return keys
}

// The preset finds the pooler, its name is in the certificate, and the secrets are those that CloudNativePG makes.
func TestPresetForCloudNativePGFitsItsManifest(t *testing.T) {
	cluster, pooler := ofCloudNativePG(t, "Cluster"), ofCloudNativePG(t, "Pooler")
	namespace := cluster.GetNamespace()
	r := preset(t, helloAPI, "values.cloudnativepg.yaml", namespace)
	pods := r.selected(namespace, equalitySelector(map[string]string{"app.kubernetes.io/component": "api"}))[0]

	text, _ := at(r.values, "variables", "database_url").(string)
	address, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if expected := pooler.GetName() + "." + namespace + ".svc.cluster.local:5432"; address.Host != expected {
		t.Errorf("%s, and the pooler is %s", address.Host, expected)
	}
	names, _ := cluster.at("spec", "certificates", "serverAltDNSNames").([]any)
	if !slices.Contains(names, any(address.Hostname())) || address.Query().Get("sslmode") != "verify-full" {
		t.Errorf("%s: is not verified by a certificate for %v", text, names)
	}
	if owner := cluster.text("spec", "bootstrap", "initdb", "owner"); address.User.String() != owner {
		t.Errorf("role %s, and the owner of the database is %s", address.User, owner)
	}
	if database := cluster.text("spec", "bootstrap", "initdb", "database"); address.Path != "/"+database {
		t.Errorf("database %s, and there is %s", address.Path, database)
	}

	application, authority := cluster.GetName()+"-app", cluster.GetName()+"-ca"
	keys := keysOfApplicationSecret(t)
	seen := map[string]bool{}
	for _, to := range pods.references() {
		if to.kind != "Secret" {
			continue
		}
		seen[to.name] = true
		isKey := to.key == "" || to.name == application && slices.Contains(keys, to.key) || to.name == authority && to.key == "ca.crt"
		if !isKey || to.name != application && to.name != authority {
			t.Errorf("%s is not made by CloudNativePG", to)
		}
	}
	if !seen[application] || !seen[authority] {
		t.Errorf("secrets %v, and neither %s nor %s may be missing", seen, application, authority)
	}

	labels := map[string]string{"cnpg.io/cluster": cluster.GetName(), "cnpg.io/poolerName": pooler.GetName()}
	if _, out := r.peers(pods.template.Labels); !reaches(out, namespace, labels) {
		t.Error("its NetworkPolicy does not let the API out to the pooler")
	}
}

func TestPoolerOfCloudNativePGFollowsPreparedStatements(t *testing.T) {
	cluster, pooler := ofCloudNativePG(t, "Cluster"), ofCloudNativePG(t, "Pooler")
	if name := pooler.text("spec", "cluster", "name"); name != cluster.GetName() || pooler.GetNamespace() != cluster.GetNamespace() {
		t.Errorf("the pooler is for %s", name)
	}
	most := pooler.text("spec", "pgbouncer", "parameters", "max_prepared_statements")
	if pooler.text("spec", "pgbouncer", "poolMode") == "transaction" && (most == "" || most == "0") {
		t.Error("the host's prepared statements would fail")
	}
}
