package gitops

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"charts/manifests"
)

// rule says what is wrong in a tree.
type rule func(*tree) []string

func (r rule) String() string {
	name := runtime.FuncForPC(reflect.ValueOf(r).Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}

var rules = []rule{
	projectsAreRestricted,
	applicationsFitTheirProject,
	contentsFitTheirProject,
	projectsAllowNothingUnused,
	versionsArePinned,
	settingsAreUsed,
	wavesAreOrdered,
	namespacesAreThere,
	syncIsAsTheEnvironmentNeeds,
	onlyProdHasWindows,
	rootIsAsTheEnvironmentNeeds,
	filesAreThere,
	noSecretIsInGit,
	scalersKeepTheirReplicas,
	nothingIsDeletedByAccident,
	nodesAreSafe,
	poolsAreBounded,
}

func TestRules(t *testing.T) {
	for _, tr := range trees(t) {
		for _, rule := range rules {
			for _, found := range rule(tr) {
				t.Errorf("%s: %s: %s", tr, rule, found)
			}
		}
	}
}

const cluster = "https://kubernetes.default.svc"

// No pattern: what a project allows is listed.
func projectsAreRestricted(tr *tree) (found []string) {
	var names []string
	for _, project := range tr.projects() {
		names = append(names, project.name())
		withoutWindows := project.clone()
		delete(withoutWindows.at("spec").(map[string]any), "syncWindows")
		if strings.Contains(asJSON(withoutWindows), "*") {
			found = append(found, project.String()+" has a pattern")
		}
		for _, field := range []string{"sourceRepos", "destinations"} {
			if len(project.list("spec", field)) == 0 {
				found = append(found, project.String()+" has no "+field)
			}
		}
		for _, field := range []string{"clusterResourceWhitelist", "namespaceResourceWhitelist"} {
			if _, listed := project.at("spec", field).([]any); !listed {
				found = append(found, project.String()+" has no "+field+", so that it allows every kind")
			}
		}
		for _, destination := range project.list("spec", "destinations") {
			if text(at(destination, "server")) != cluster {
				found = append(found, project.String()+" has another cluster")
			}
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"birthday", "cluster", "platform", "root"}) {
		found = append(found, fmt.Sprintf("the projects are %v", names))
	}
	if root := tr.named("AppProject", "root"); root != nil {
		if kinds := kindsOf(root, "namespaceResourceWhitelist"); !slices.Equal(kinds, []string{"argoproj.io/AppProject", "argoproj.io/Application"}) ||
			len(root.list("spec", "clusterResourceWhitelist")) > 0 || asJSON(root.at("spec", "sourceRepos")) != asJSON([]string{ours}) {
			found = append(found, "the project root may make more than Applications and projects of this repository")
		}
	}
	return found
}

// kindsOf are the kinds that a project lists, sorted.
func kindsOf(project object, field string) []string {
	kinds := map[string]bool{}
	for _, entry := range project.list("spec", field) {
		kinds[text(at(entry, "group"))+"/"+text(at(entry, "kind"))] = true
	}
	return sorted(kinds)
}

// allows tells whether a project has a destination.
func allows(project object, namespace string) bool {
	return slices.ContainsFunc(project.list("spec", "destinations"), func(destination any) bool {
		return text(at(destination, "namespace")) == namespace
	})
}

func applicationsFitTheirProject(tr *tree) (found []string) {
	for _, application := range append(tr.applications(), tr.root) {
		project := tr.named("AppProject", application.text("spec", "project"))
		if project == nil {
			found = append(found, application.String()+" has no project")
			continue
		}
		sources := application.list("spec", "sources")
		if single := application.at("spec", "source"); single != nil {
			sources = append(sources, single)
		}
		if len(sources) == 0 {
			found = append(found, application.String()+" has no source")
		}
		for _, source := range sources {
			if !slices.Contains(texts(project.list("spec", "sourceRepos")), text(at(source, "repoURL"))) {
				found = append(found, fmt.Sprintf("%s: %v is not a source of %s", application, at(source, "repoURL"), project))
			}
		}
		if application.text("spec", "destination", "server") != cluster || !allows(project, application.text("spec", "destination", "namespace")) {
			found = append(found, fmt.Sprintf("%s: %v is no destination of %s", application, application.at("spec", "destination"), project))
		}
		if application.namespace() != "argocd" {
			found = append(found, application.String()+" is not in Argo CD's namespace")
		}
	}
	return found
}

// The kinds that no namespace has, of those that are made here or by the charts.
var clusterKinds = map[string]bool{
	"APIService": true, "ClusterIssuer": true, "ClusterRole": true, "ClusterRoleBinding": true, "ClusterSecretStore": true,
	"CustomResourceDefinition": true, "EC2NodeClass": true, "GatewayClass": true, "IngressClass": true, "IngressClassParams": true,
	"MutatingWebhookConfiguration": true, "Namespace": true, "NodePool": true, "PriorityClass": true, "Shim": true, "StorageClass": true,
	"ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true, "ValidatingWebhookConfiguration": true,
}

// namespaceOf is where an object gets, if an Application makes it.
func namespaceOf(application, o object) string {
	if o.namespace() == "" {
		return application.text("spec", "destination", "namespace")
	}
	return o.namespace()
}

// notAllowed says which objects of an Application its project refuses.
func notAllowed(tr *tree, application object, objects []object) (found []string) {
	project := tr.named("AppProject", application.text("spec", "project"))
	if project == nil {
		return []string{application.String() + " has no project"}
	}
	for _, o := range objects {
		field := "namespaceResourceWhitelist"
		if clusterKinds[o.kind()] {
			field = "clusterResourceWhitelist"
		} else if namespace := namespaceOf(application, o); !allows(project, namespace) {
			found = append(found, fmt.Sprintf("%s: %s is in %s, where %s may not go", application, o, namespace, project))
		}
		if !slices.Contains(kindsOf(project, field), o.group()+"/"+o.kind()) {
			found = append(found, fmt.Sprintf("%s: %s may not make %s/%s", application, project, o.group(), o.kind()))
		}
	}
	return found
}

func contentsFitTheirProject(tr *tree) (found []string) {
	for _, application := range tr.applications() {
		found = append(found, notAllowed(tr, application, tr.contents[application.name()])...)
	}
	return found
}

// Exact, where all contents are known. What the gateway's variant does not need of the Ingress stays, so that a cluster can go over.
func projectsAllowNothingUnused(tr *tree) (found []string) {
	for _, name := range []string{"cluster", "birthday"} {
		kinds, namespaces := map[string]bool{}, map[string]bool{}
		for _, application := range tr.applications() {
			if application.text("spec", "project") != name {
				continue
			}
			namespaces[application.text("spec", "destination", "namespace")] = true
			for _, o := range tr.contents[application.name()] {
				kinds[o.group()+"/"+o.kind()] = true
				namespaces[namespaceOf(application, o)] = true
			}
		}
		if tr.variant == "gateway" && name == "birthday" {
			kinds["networking.k8s.io/Ingress"] = true
		}
		project := tr.named("AppProject", name)
		for _, kind := range append(kindsOf(project, "clusterResourceWhitelist"), kindsOf(project, "namespaceResourceWhitelist")...) {
			if !kinds[kind] {
				found = append(found, fmt.Sprintf("%s may make %s, and nothing does", project, kind))
			}
		}
		for _, destination := range project.list("spec", "destinations") {
			if !namespaces[text(at(destination, "namespace"))] {
				found = append(found, fmt.Sprintf("%s may go to %v, and nothing does", project, at(destination, "namespace")))
			}
		}
	}
	for _, project := range tr.projects() {
		for _, repository := range texts(project.list("spec", "sourceRepos")) {
			used := project.name() == "root" || slices.ContainsFunc(tr.applications(), func(application object) bool {
				return application.text("spec", "project") == project.name() &&
					slices.ContainsFunc(application.list("spec", "sources"), func(source any) bool { return text(at(source, "repoURL")) == repository })
			})
			if !used {
				found = append(found, fmt.Sprintf("%s has the source %s, and nothing uses it", project, repository))
			}
		}
	}
	return found
}

var (
	exactVersion  = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+$`)
	exactRevision = regexp.MustCompile(`^(v[0-9]+\.[0-9]+\.[0-9]+|[0-9a-f]{40})$`)
)

// Charts and repositories of others by an exact version. Ours by the revision of the settings: in prod a tag or a commit.
func versionsArePinned(tr *tree) (found []string) {
	for _, application := range tr.applications() {
		for _, source := range application.list("spec", "sources") {
			revision := text(at(source, "targetRevision"))
			switch {
			case text(at(source, "repoURL")) == ours:
				if revision != tr.settings["revision"] {
					found = append(found, fmt.Sprintf("%s: %q is not the revision of the settings", application, revision))
				}
			case text(at(source, "chart")) == "" && !strings.HasPrefix(revision, "v"):
				found = append(found, fmt.Sprintf("%s: %q is not a tag", application, revision))
			case !exactVersion.MatchString(revision):
				found = append(found, fmt.Sprintf("%s: %q is not a version", application, revision))
			}
		}
	}
	if revision := tr.settings["revision"]; tr.environment == "prod" && !exactRevision.MatchString(revision) ||
		tr.environment != "prod" && revision != "main" && !exactRevision.MatchString(revision) {
		found = append(found, fmt.Sprintf("the revision is %q", revision))
	}
	return found
}

// A setting that nothing uses is a version that somebody believes in.
func settingsAreUsed(tr *tree) (found []string) {
	for name, value := range tr.settings {
		switch name {
		case "environment":
			if value != tr.environment {
				found = append(found, "the environment is "+value)
			}
		case "revision":
		default:
			application := tr.named("Application", name)
			if application == nil || text(at(application.list("spec", "sources"), 0, "targetRevision")) != value {
				found = append(found, fmt.Sprintf("%s: %s is not what the Application has", name, value))
			}
		}
	}
	for _, application := range tr.applications() {
		first := at(application.list("spec", "sources"), 0)
		if name := application.name(); text(at(first, "repoURL")) != ours && tr.settings[name] == "" && name != "karpenter-crd" {
			found = append(found, application.String()+" has no version in the settings")
		}
	}
	return found
}

// The Applications that bring the definitions of types, by group, or what acts on them.
var providers = map[string][]string{
	"cert-manager.io":                {"cert-manager"},
	"core.spinkube.dev":              {"spin-operator-crds", "spin-operator"},
	"external-secrets.io":            {"external-secrets"},
	"gateway.k8s.aws":                {"aws-load-balancer-controller"},
	"gateway.networking.k8s.io":      {"gateway-api", "aws-load-balancer-controller"},
	"generators.external-secrets.io": {"external-secrets"},
	"karpenter.k8s.aws":              {"karpenter-crd", "karpenter"},
	"karpenter.sh":                   {"karpenter-crd", "karpenter"},
	"monitoring.coreos.com":          {"prometheus-operator-crds"},
	"runtime.spinkube.dev":           {"runtime-class-manager"},
}

// What an Application needs of others beside the types of its contents.
var needs = map[string][]string{
	"aws-load-balancer-controller": {"cert-manager", "prometheus-operator-crds"},
	"cert-manager":                 {"prometheus-operator-crds"},
	"external-dns":                 {"prometheus-operator-crds"},
	"external-secrets":             {"prometheus-operator-crds"},
	"hello-api":                    {"secrets", "nodes", "aws-load-balancer-controller", "metrics-server", "otel-collector"},
	"ingress-nginx":                {"cert-manager", "nodes", "aws-load-balancer-controller"},
	"karpenter":                    {"karpenter-crd", "prometheus-operator-crds"},
	"keda":                         {"prometheus-operator-crds"},
	"kube-prometheus-stack":        {"cert-manager", "nodes", "secrets", "prometheus-operator-crds"},
	"metrics-server":               {"cert-manager", "prometheus-operator-crds"},
	"otel-collector":               {"nodes", "prometheus-operator-crds"},
	"spin-operator":                {"cert-manager", "spin-operator-crds"},
}

func wave(o object) int {
	wave, err := strconv.Atoi(o.text("metadata", "annotations", "argocd.argoproj.io/sync-wave"))
	if err != nil {
		return 1000
	}
	return wave
}

// What something needs is synced, and healthy, in a wave before.
func wavesAreOrdered(tr *tree) (found []string) {
	for _, application := range tr.applications() {
		if wave(application) == 1000 {
			found = append(found, application.String()+" has no wave")
		}
		before := append(slices.Clone(needs[application.name()]), "namespaces")
		for _, o := range tr.contents[application.name()] {
			before = append(before, providers[o.group()]...)
			if strings.Contains(o.group(), ".") && !strings.HasSuffix(o.group(), ".k8s.io") && providers[o.group()] == nil {
				found = append(found, fmt.Sprintf("%s: nothing brings %s", application, o.group()))
			}
		}
		slices.Sort(before)
		for _, name := range slices.Compact(before) {
			other := tr.named("Application", name)
			switch {
			case other == nil:
				found = append(found, fmt.Sprintf("%s needs %s, which is not there", application, name))
			case wave(other) >= wave(application) && wave(application) > 0:
				found = append(found, fmt.Sprintf("%s needs %s, which is not in a wave before", application, name))
			}
		}
	}
	for _, project := range tr.projects() {
		for _, application := range tr.applications() {
			if wave(project) >= wave(application) {
				found = append(found, fmt.Sprintf("%s is not in a wave before %s", project, application))
			}
		}
	}
	return found
}

// Namespaces are made in the first wave, each with a level of Pod Security. Argo CD makes none by itself.
func namespacesAreThere(tr *tree) (found []string) {
	made := map[string]bool{"kube-system": true, "default": true}
	for _, application := range tr.applications() {
		for _, o := range tr.contents[application.name()] {
			if o.kind() != "Namespace" {
				continue
			}
			if made[o.name()] {
				found = append(found, o.String()+" is made twice")
			}
			made[o.name()] = true
			if wave(application) != 0 {
				found = append(found, o.String()+" is not made in the first wave")
			}
			if !slices.Contains([]string{"restricted", "baseline", "privileged"}, o.text("metadata", "labels", "pod-security.kubernetes.io/enforce")) {
				found = append(found, o.String()+" has no level of Pod Security")
			}
		}
	}
	for _, application := range tr.applications() {
		if namespace := application.text("spec", "destination", "namespace"); !made[namespace] {
			found = append(found, fmt.Sprintf("%s: nothing makes %s", application, namespace))
		}
		for _, o := range tr.contents[application.name()] {
			if !clusterKinds[o.kind()] && !made[namespaceOf(application, o)] {
				found = append(found, fmt.Sprintf("%s: %s: nothing makes %s", application, o, namespaceOf(application, o)))
			}
		}
	}
	for _, project := range tr.projects() {
		for _, destination := range project.list("spec", "destinations") {
			if namespace := text(at(destination, "namespace")); !made[namespace] {
				found = append(found, fmt.Sprintf("%s: nothing makes %s", project, namespace))
			}
		}
	}
	return found
}

var retries = map[string]any{"limit": 6, "backoff": map[string]any{"duration": "10s", "factor": 2, "maxDuration": "3m"}}

// Drift is mended everywhere. In prod nothing is deleted by itself.
func syncIsAsTheEnvironmentNeeds(tr *tree) (found []string) {
	expected := asJSON(map[string]any{
		"automated":   map[string]any{"enabled": true, "selfHeal": true, "prune": tr.environment != "prod"},
		"syncOptions": []string{"ServerSideApply=true", "RespectIgnoreDifferences=true", "PruneLast=true", "FailOnSharedResource=true"},
		"retry":       retries,
	})
	for _, application := range tr.applications() {
		if policy := asJSON(application.at("spec", "syncPolicy")); policy != expected {
			found = append(found, fmt.Sprintf("%s: %s", application, policy))
		}
	}
	return found
}

func onlyProdHasWindows(tr *tree) (found []string) {
	window := asJSON([]any{map[string]any{"kind": "allow", "schedule": "0 8 * * 1-4", "duration": "8h", "timeZone": "Europe/Berlin",
		"applications": []string{"*"}, "manualSync": true}})
	for _, project := range tr.projects() {
		expected := "null"
		if tr.environment == "prod" && (project.name() == "platform" || project.name() == "cluster") {
			expected = window
		}
		if windows := asJSON(project.at("spec", "syncWindows")); windows != expected {
			found = append(found, fmt.Sprintf("%s: %s", project, windows))
		}
	}
	return found
}

// The root of prod is synced by a person.
func rootIsAsTheEnvironmentNeeds(tr *tree) (found []string) {
	policy := map[string]any{"syncOptions": []string{"ServerSideApply=true", "PruneLast=true"}, "retry": retries}
	if tr.environment != "prod" {
		policy["automated"] = map[string]any{"enabled": true, "selfHeal": true, "prune": true}
	}
	expected := asJSON(map[string]any{
		"project":              "root",
		"destination":          map[string]any{"server": cluster, "namespace": "argocd"},
		"source":               map[string]any{"repoURL": ours, "targetRevision": "main", "path": "infra/gitops/environments/" + tr.environment},
		"revisionHistoryLimit": 10,
		"syncPolicy":           policy,
	})
	if spec := asJSON(tr.root.at("spec")); spec != expected {
		found = append(found, spec)
	}
	return found
}

// Values and folders of this repository, each of this environment or of none.
func filesAreThere(tr *tree) (found []string) {
	for _, application := range tr.applications() {
		for _, source := range application.list("spec", "sources") {
			var paths []string
			if path := text(at(source, "path")); text(at(source, "repoURL")) == ours && path != "" {
				paths = append(paths, path)
			}
			files, _ := at(source, "helm", "valueFiles").([]any)
			for _, file := range texts(files) {
				if rest, isOurs := strings.CutPrefix(file, "$values/"); isOurs {
					paths = append(paths, rest)
				} else if _, err := os.Stat(manifests.Root + "/charts/" + text(at(source, "chart")) + "/" + file); err != nil {
					found = append(found, fmt.Sprintf("%s: there is no %s in the chart", application, file))
				}
			}
			if at(source, "helm", "ignoreMissingValueFiles") != nil {
				found = append(found, application.String()+" does without values that are missing")
			}
			for _, path := range paths {
				if _, err := os.Stat(tr.repositoryPath(path)); err != nil {
					found = append(found, fmt.Sprintf("%s: there is no %s", application, path))
				}
				if of, _, _ := strings.Cut(strings.TrimPrefix(path, "infra/gitops/environments/"), "/"); strings.Contains(path, "/environments/") && of != tr.environment {
					found = append(found, fmt.Sprintf("%s has %s", application, path))
				}
			}
		}
	}
	return found
}

func noSecretIsInGit(tr *tree) (found []string) {
	for name, objects := range tr.contents {
		for _, o := range objects {
			if o.kind() == "Secret" {
				found = append(found, name+": "+o.String())
			}
			// The store has its role by Pod Identity.
			if o.kind() == "ClusterSecretStore" && (o.at("spec", "provider", "aws", "auth") != nil || len(o.list("spec", "conditions")) == 0) {
				found = append(found, o.String()+" has credentials, or is for every namespace")
			}
		}
	}
	return found
}

// What the HorizontalPodAutoscaler decides is no difference.
func scalersKeepTheirReplicas(tr *tree) (found []string) {
	for _, application := range tr.applications() {
		scaled := slices.ContainsFunc(tr.contents[application.name()], func(o object) bool { return o.kind() == "HorizontalPodAutoscaler" })
		expected := "null"
		if scaled {
			expected = `[{"group":"apps","jsonPointers":["/spec/replicas"],"kind":"Deployment"}]`
		}
		if ignored := asJSON(application.at("spec", "ignoreDifferences")); ignored != expected {
			found = append(found, fmt.Sprintf("%s ignores %s", application, ignored))
		}
	}
	return found
}

// An Application that goes leaves what it made, and a namespace goes only by hand.
func nothingIsDeletedByAccident(tr *tree) (found []string) {
	for _, application := range append(tr.applications(), tr.root) {
		if application.at("metadata", "finalizers") != nil {
			found = append(found, application.String()+" takes what it made with it")
		}
		for _, o := range tr.contents[application.name()] {
			if o.kind() == "Namespace" && o.text("metadata", "annotations", "argocd.argoproj.io/sync-options") != "Prune=false,Delete=false" {
				found = append(found, o.String()+" can be pruned")
			}
		}
	}
	return found
}
