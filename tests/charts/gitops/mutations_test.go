package gitops

import (
	"testing"
)

// put sets a field of an object.
func put(o object, value any, path ...any) {
	parent := o.at(path[:len(path)-1]...)
	switch step := path[len(path)-1].(type) {
	case string:
		parent.(map[string]any)[step] = value
	case int:
		parent.([]any)[step] = value
	}
}

func remove(o object, path ...any) {
	delete(o.at(path[:len(path)-1]...).(map[string]any), path[len(path)-1].(string))
}

// add appends to a list of an object.
func add(o object, value any, path ...any) {
	put(o, append(o.list(path...), value), path...)
}

// made is what an Application makes: the object of a kind with a name.
func (tr *tree) made(application, kind, name string) object {
	for _, o := range tr.contents[application] {
		if o.kind() == kind && o.name() == name {
			return o
		}
	}
	panic(application + " has no " + kind + " " + name)
}

func application(name, field string, value any, path ...any) func(*tree) {
	return func(tr *tree) {
		put(tr.named("Application", name), value, append([]any{field}, path...)...)
	}
}

func inProject(name string, change func(object)) func(*tree) {
	return func(tr *tree) { change(tr.named("AppProject", name)) }
}

// without is a tree that lacks an object of what the root makes.
func without(kind, name string) func(*tree) {
	return func(tr *tree) {
		var rest []object
		for _, o := range tr.rendered {
			if o.kind() != kind || o.name() != name {
				rest = append(rest, o)
			}
		}
		tr.rendered = rest
	}
}

var mutations = []struct {
	claim  string
	rule   rule
	tree   string
	change func(*tree)
}{
	{"a project for every source", projectsAreRestricted, "dev", inProject("platform", func(o object) { add(o, "*", "spec", "sourceRepos") })},
	{"a project for every namespace", projectsAreRestricted, "dev", inProject("birthday", func(o object) { put(o, "*", "spec", "destinations", 0, "namespace") })},
	{"a project for every kind", projectsAreRestricted, "prod", inProject("platform", func(o object) { remove(o, "spec", "namespaceResourceWhitelist") })},
	{"a project for another cluster", projectsAreRestricted, "prod", inProject("cluster", func(o object) { put(o, "https://example.com", "spec", "destinations", 0, "server") })},
	{"a root that may make pods", projectsAreRestricted, "prod", inProject("root", func(o object) {
		add(o, map[string]any{"group": "", "kind": "Pod"}, "spec", "namespaceResourceWhitelist")
	})},
	{"a root of another repository", projectsAreRestricted, "prod", inProject("root", func(o object) { add(o, "https://example.com", "spec", "sourceRepos") })},
	{"a project less", projectsAreRestricted, "dev", without("AppProject", "birthday")},

	{"the project default", applicationsFitTheirProject, "dev", application("keda", "spec", "default", "project")},
	{"a chart of somebody", applicationsFitTheirProject, "dev", application("keda", "spec", "https://charts.example.com", "sources", 0, "repoURL")},
	{"another namespace", applicationsFitTheirProject, "dev", application("hello-api", "spec", "kube-system", "destination", "namespace")},
	{"another cluster", applicationsFitTheirProject, "dev", application("hello-api", "spec", "https://example.com", "destination", "server")},
	{"an Application elsewhere", applicationsFitTheirProject, "dev", application("hello-api", "metadata", "app-space", "namespace")},

	{"a kind that is not listed", contentsFitTheirProject, "prod", func(tr *tree) { put(tr.made("hello-api", "Service", "hello-api"), "Role", "kind") }},
	{"a cluster's kind in the API", contentsFitTheirProject, "prod", func(tr *tree) { put(tr.made("hello-api", "Service", "hello-api"), "ClusterRole", "kind") }},
	{"an object of the API elsewhere", contentsFitTheirProject, "prod", func(tr *tree) {
		put(tr.made("hello-api", "Service", "hello-api"), "argocd", "metadata", "namespace")
	}},

	{"a kind too many", projectsAllowNothingUnused, "prod", inProject("birthday", func(o object) {
		add(o, map[string]any{"group": "", "kind": "Pod"}, "spec", "namespaceResourceWhitelist")
	})},
	{"a namespace too many", projectsAllowNothingUnused, "prod", inProject("cluster", func(o object) {
		add(o, map[string]any{"server": cluster, "namespace": "argocd"}, "spec", "destinations")
	})},
	{"a source too many", projectsAllowNothingUnused, "prod", inProject("platform", func(o object) { add(o, "https://charts.example.com", "spec", "sourceRepos") })},

	{"any version of a chart", versionsArePinned, "prod", application("keda", "spec", "*", "sources", 0, "targetRevision")},
	{"a range of versions", versionsArePinned, "prod", application("keda", "spec", "2.x", "sources", 0, "targetRevision")},
	{"the head of a repository", versionsArePinned, "dev", application("spin-operator-crds", "spec", "HEAD", "sources", 0, "targetRevision")},
	{"another revision of ours", versionsArePinned, "prod", application("nodes", "spec", "main", "sources", 0, "targetRevision")},
	{"a branch in prod", versionsArePinned, "prod", func(tr *tree) {
		for _, o := range tr.applications() {
			for i, source := range o.list("spec", "sources") {
				if text(at(source, "repoURL")) == ours {
					put(o, "main", "spec", "sources", i, "targetRevision")
				}
			}
		}
		tr.settings["revision"] = "main"
	}},

	{"a version for nothing", settingsAreUsed, "prod", func(tr *tree) { tr.settings["traefik"] = "1.0.0" }},
	{"a version that is not taken", settingsAreUsed, "prod", func(tr *tree) { tr.settings["keda"] = "9.0.0" }},
	{"a chart without a setting", settingsAreUsed, "prod", func(tr *tree) { delete(tr.settings, "keda") }},
	{"settings of another environment", settingsAreUsed, "prod", func(tr *tree) { tr.settings["environment"] = "dev" }},

	{"issuers before cert-manager", wavesAreOrdered, "prod", application("issuers", "metadata", "1", "annotations", "argocd.argoproj.io/sync-wave")},
	{"pools with Karpenter", wavesAreOrdered, "prod", application("nodes", "metadata", "2", "annotations", "argocd.argoproj.io/sync-wave")},
	{"the API with its secrets", wavesAreOrdered, "prod", application("hello-api", "metadata", "3", "annotations", "argocd.argoproj.io/sync-wave")},
	{"metrics-server with cert-manager", wavesAreOrdered, "prod", application("metrics-server", "metadata", "2", "annotations", "argocd.argoproj.io/sync-wave")},
	{"no wave", wavesAreOrdered, "prod", func(tr *tree) { remove(tr.named("Application", "keda"), "metadata", "annotations") }},
	{"no External Secrets", wavesAreOrdered, "prod", without("Application", "external-secrets")},
	{"a type of nobody", wavesAreOrdered, "prod", func(tr *tree) { put(tr.made("secrets", "ExternalSecret", "grafana"), "example.com/v1", "apiVersion") }},
	{"projects with Applications", wavesAreOrdered, "prod", inProject("platform", func(o object) { put(o, "0", "metadata", "annotations", "argocd.argoproj.io/sync-wave") })},
	{"a Gateway before its types", wavesAreOrdered, "prod with gateway", application("public-gateway", "metadata", "1", "annotations", "argocd.argoproj.io/sync-wave")},

	{"a namespace that nobody makes", namespacesAreThere, "prod", func(tr *tree) { put(tr.made("namespaces", "Namespace", "keda"), "kedax", "metadata", "name") }},
	{"namespaces too late", namespacesAreThere, "prod", application("namespaces", "metadata", "1", "annotations", "argocd.argoproj.io/sync-wave")},
	{"no Pod Security", namespacesAreThere, "prod", func(tr *tree) { remove(tr.made("namespaces", "Namespace", "keda"), "metadata", "labels") }},
	{"a namespace twice", namespacesAreThere, "prod", func(tr *tree) { put(tr.made("namespaces", "Namespace", "keda"), "argocd", "metadata", "name") }},
	{"a secret in a namespace that nobody makes", namespacesAreThere, "prod", func(tr *tree) { put(tr.made("secrets", "Password", "grafana"), "grafana", "metadata", "namespace") }},

	{"pruning in prod", syncIsAsTheEnvironmentNeeds, "prod", application("keda", "spec", true, "syncPolicy", "automated", "prune")},
	{"no healing in dev", syncIsAsTheEnvironmentNeeds, "dev", application("keda", "spec", false, "syncPolicy", "automated", "selfHeal")},
	{"retries without end", syncIsAsTheEnvironmentNeeds, "dev", application("keda", "spec", -1, "syncPolicy", "retry", "limit")},
	{"client-side apply", syncIsAsTheEnvironmentNeeds, "dev", application("keda", "spec", []any{}, "syncPolicy", "syncOptions")},

	{"no window in prod", onlyProdHasWindows, "prod", inProject("platform", func(o object) { remove(o, "spec", "syncWindows") })},
	{"a window for the API", onlyProdHasWindows, "prod", func(tr *tree) {
		put(tr.named("AppProject", "birthday"), tr.named("AppProject", "platform").at("spec", "syncWindows"), "spec", "syncWindows")
	}},
	{"a window that forbids what people do", onlyProdHasWindows, "prod", inProject("platform", func(o object) { put(o, false, "spec", "syncWindows", 0, "manualSync") })},

	{"an automated root in prod", rootIsAsTheEnvironmentNeeds, "prod", func(tr *tree) {
		put(tr.root, map[string]any{"enabled": true}, "spec", "syncPolicy", "automated")
	}},
	{"a root of another environment", rootIsAsTheEnvironmentNeeds, "staging", func(tr *tree) {
		put(tr.root, "infra/gitops/environments/prod", "spec", "source", "path")
	}},

	{"values that are not there", filesAreThere, "prod", application("keda", "spec", "$values/infra/gitops/values/kedax.yaml", "sources", 0, "helm", "valueFiles", 0)},
	{"values of another environment", filesAreThere, "prod", application("hello-api", "spec", "$values/infra/gitops/environments/dev/hello-api.yaml", "sources", 0, "helm", "valueFiles", 1)},
	{"a preset that the chart has not", filesAreThere, "prod", application("hello-api", "spec", "values.azure.yaml", "sources", 0, "helm", "valueFiles", 0)},
	{"values that may be missing", filesAreThere, "prod", application("hello-api", "spec", true, "sources", 0, "helm", "ignoreMissingValueFiles")},
	{"a folder that is not there", filesAreThere, "prod", application("issuers", "spec", "infra/gitops/resources/issuer", "sources", 0, "path")},

	{"a Secret", noSecretIsInGit, "prod", func(tr *tree) { put(tr.made("secrets", "ExternalSecret", "grafana"), "Secret", "kind") }},
	{"credentials of a store", noSecretIsInGit, "prod", func(tr *tree) {
		put(tr.made("secrets", "ClusterSecretStore", "aws-secrets-manager"), map[string]any{"secretRef": "x"}, "spec", "provider", "aws", "auth")
	}},
	{"a store for everybody", noSecretIsInGit, "prod", func(tr *tree) {
		remove(tr.made("secrets", "ClusterSecretStore", "aws-secrets-manager"), "spec", "conditions")
	}},

	{"a fight over replicas", scalersKeepTheirReplicas, "prod", func(tr *tree) { remove(tr.named("Application", "hello-api"), "spec", "ignoreDifferences") }},
	{"differences of others that are ignored", scalersKeepTheirReplicas, "prod", application("keda", "spec", []any{map[string]any{"kind": "Deployment"}}, "ignoreDifferences")},

	{"an Application that takes all with it", nothingIsDeletedByAccident, "prod", application("keda", "metadata", []any{"resources-finalizer.argocd.argoproj.io"}, "finalizers")},
	{"a namespace that can be pruned", nothingIsDeletedByAccident, "prod", func(tr *tree) { remove(tr.made("namespaces", "Namespace", "keda"), "metadata", "annotations") }},

	{"pods with credentials of the node", nodesAreSafe, "prod", func(tr *tree) {
		put(tr.made("nodes", "EC2NodeClass", "default"), 2, "spec", "metadataOptions", "httpPutResponseHopLimit")
	}},
	{"a disk in clear", nodesAreSafe, "prod", func(tr *tree) {
		put(tr.made("nodes", "EC2NodeClass", "default"), false, "spec", "blockDeviceMappings", 1, "ebs", "encrypted")
	}},
	{"whatever image is the latest", nodesAreSafe, "prod", func(tr *tree) {
		put(tr.made("nodes", "EC2NodeClass", "default"), "bottlerocket@latest", "spec", "amiSelectorTerms", 0, "alias")
	}},

	{"nodes without end", poolsAreBounded, "prod", func(tr *tree) { remove(tr.made("nodes", "NodePool", "stateless"), "spec", "limits") }},
	{"all nodes at once", poolsAreBounded, "prod", func(tr *tree) { remove(tr.made("nodes", "NodePool", "stateless"), "spec", "disruption", "budgets") }},
	{"nodes that stay for ever", poolsAreBounded, "prod", func(tr *tree) {
		remove(tr.made("nodes", "NodePool", "system"), "spec", "template", "spec", "expireAfter")
	}},
	{"system pods on spot instances", poolsAreBounded, "prod", func(tr *tree) {
		put(tr.made("nodes", "NodePool", "system"), []any{"spot"}, "spec", "template", "spec", "requirements", 0, "values")
	}},
	{"a pool that does not say what it buys", poolsAreBounded, "prod", func(tr *tree) {
		put(tr.made("nodes", "NodePool", "stateless"), "kubernetes.io/os", "spec", "template", "spec", "requirements", 0, "key")
	}},
	{"a class that is not there", poolsAreBounded, "prod", func(tr *tree) {
		put(tr.made("nodes", "NodePool", "system"), "fast", "spec", "template", "spec", "nodeClassRef", "name")
	}},
	{"a system pool for everybody", poolsAreBounded, "prod", func(tr *tree) {
		remove(tr.made("nodes", "NodePool", "system"), "spec", "template", "spec", "taints")
	}},
	{"one pool", poolsAreBounded, "prod", func(tr *tree) { tr.contents["nodes"] = nil }},
}

func TestRulesNoticeWhenTheyAreBroken(t *testing.T) {
	broken := map[string]bool{}
	for _, mutation := range mutations {
		broken[mutation.rule.String()] = true
		t.Run(mutation.claim, func(t *testing.T) {
			tr := treeOf(t, mutation.tree).clone()
			if found := mutation.rule(tr); len(found) != 0 {
				t.Fatalf("is broken before: %v", found)
			}
			mutation.change(tr)
			if len(mutation.rule(tr)) == 0 {
				t.Error("is not noticed")
			}
		})
	}
	for _, rule := range rules {
		if !broken[rule.String()] {
			t.Errorf("nothing is there to break %s", rule)
		}
	}
}
