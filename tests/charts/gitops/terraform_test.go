package gitops

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"charts/manifests"
	"sigs.k8s.io/yaml"
)

// The Application of each service account that infra/terraform associates with a role, as namespace/name. The add-ons of EKS are not
// installed from here.
var serviceAccounts = map[string]string{
	"app-space/hello-api":                      "hello-api",
	"external-dns/external-dns":                "external-dns",
	"external-secrets/external-secrets":        "external-secrets",
	"kube-system/aws-load-balancer-controller": "aws-load-balancer-controller",
	"kube-system/karpenter":                    "karpenter",
	"monitoring/otel-collector":                "otel-collector",
}

// associations are the pairs in the text of Terraform: `namespace` and `service_account` one after the other, or the defaults of data.
func associations(platform, data, observability string) []string {
	pair := regexp.MustCompile(`(?m)^\s*namespace\s*=\s*"([a-z-]+)"\n\s*service_account\s*=\s*"([a-z-]+)"`)
	var found []string
	for _, text := range []string{platform, observability} {
		for _, match := range pair.FindAllStringSubmatch(text, -1) {
			found = append(found, match[1]+"/"+match[2])
		}
	}
	value := func(variable string) string {
		match := regexp.MustCompile(`(?s)variable "` + variable + `" \{.*?default\s*=\s*"([a-z-]+)"`).FindStringSubmatch(data)
		if match == nil {
			return ""
		}
		return match[1]
	}
	found = append(found, value("namespace")+"/"+value("service_account"))
	slices.Sort(found)
	return found
}

func terraformAssociations(t *testing.T) (platform, data, observability string) {
	return manifests.ReadFile(t, manifests.Root, "infra/terraform/platform/pods.tf"), manifests.ReadFile(t, manifests.Root, "infra/terraform/data/variables.tf"),
		manifests.ReadFile(t, manifests.Root, "infra/terraform/observability/prometheus.tf")
}

// valuesOf are the values of an Application's files, merged as far as maps go.
func valuesOf(t *testing.T, tr *tree, name string) map[string]any {
	t.Helper()
	merged := map[string]any{}
	for _, file := range texts(tr.named("Application", name).list("spec", "sources", 0, "helm", "valueFiles")) {
		path, isOurs := strings.CutPrefix(file, "$values/")
		if !isOurs {
			path = "charts/" + name + "/" + file
		}
		var values map[string]any
		if err := yaml.Unmarshal([]byte(manifests.ReadFile(t, manifests.Root, path)), &values); err != nil {
			t.Fatal(err)
		}
		mergeInto(merged, values)
	}
	return merged
}

func mergeInto(values, more map[string]any) {
	for name, value := range more {
		if inner, isMap := value.(map[string]any); isMap {
			if before, wasMap := values[name].(map[string]any); wasMap {
				mergeInto(before, inner)
				continue
			}
		}
		values[name] = value
	}
}

// accountsDisagree compares both sides: where pods run that need a role, and which accounts get one.
func accountsDisagree(associated []string, accountOf func(application string) string) (found []string) {
	var known []string
	for account, application := range serviceAccounts {
		known = append(known, account)
		if has := accountOf(application); has != account {
			found = append(found, fmt.Sprintf("%s has the account %s, and Terraform associates %s", application, has, account))
		}
	}
	slices.Sort(known)
	if !slices.Equal(known, associated) {
		found = append(found, fmt.Sprintf("Terraform associates %v, and known are %v", associated, known))
	}
	return found
}

func TestServiceAccountsHaveTheirRoles(t *testing.T) {
	platform, data, observability := terraformAssociations(t)
	for _, environment := range environments {
		tr := treeOf(t, environment)
		accountOf := func(name string) string {
			account := text(at(valuesOf(t, tr, name), "serviceAccount", "name"))
			if name == "hello-api" {
				for _, o := range tr.contents[name] {
					if o.kind() == "Deployment" {
						account = o.text("spec", "template", "spec", "serviceAccountName")
					}
				}
			}
			return tr.named("Application", name).text("spec", "destination", "namespace") + "/" + account
		}
		for _, found := range accountsDisagree(associations(platform, data, observability), accountOf) {
			t.Errorf("%s: %s", environment, found)
		}
		// Either side alone is noticed.
		for _, account := range []string{"karpenter", "aws-load-balancer-controller", "external-dns", "external-secrets", "otel-collector"} {
			broken := associations(strings.ReplaceAll(platform, `"`+account+`"`, `"other"`), data, strings.ReplaceAll(observability, `"`+account+`"`, `"other"`))
			if len(accountsDisagree(broken, accountOf)) == 0 {
				t.Errorf("another account than %s in Terraform is not noticed", account)
			}
		}
		if len(accountsDisagree(associations(platform, strings.ReplaceAll(data, `"hello-api"`, `"other"`), observability), accountOf)) == 0 {
			t.Error("another account of the API in Terraform is not noticed")
		}
		for _, name := range serviceAccounts {
			if len(accountsDisagree(associations(platform, data, observability), func(of string) string {
				if of == name {
					return "default/default"
				}
				return accountOf(of)
			})) == 0 {
				t.Errorf("another account of %s is not noticed", name)
			}
		}
	}
	// The chart makes of the values what Terraform expects.
	for environment, byName := range renderedCharts(t) {
		if !slices.ContainsFunc(byName["karpenter"], func(o object) bool {
			return o.kind() == "ServiceAccount" && o.namespace()+"/"+o.name() == "kube-system/karpenter"
		}) {
			t.Errorf("%s: karpenter has another account", environment)
		}
	}
}

// terraformValue is a variable of an environment.
func terraformValue(t *testing.T, environment, layer, variable string) string {
	t.Helper()
	of := manifests.ReadFile(t, manifests.Root, "infra/terraform/environments", environment, layer+".tfvars")
	match := regexp.MustCompile(`(?m)^` + variable + `\s*=\s*"([^"]*)"`).FindStringSubmatch(of)
	if match == nil {
		t.Fatalf("%s: %s has no %s", environment, layer, variable)
	}
	return match[1]
}

// namesDisagree compares names of an environment with those of infra/terraform.
func namesDisagree(t *testing.T, tr *tree, values func(application string) map[string]any) (found []string) {
	name := "birthday-" + tr.environment
	network := strings.TrimSuffix(terraformValue(t, tr.environment, "network", "cidr"), ".0.0/16")
	region, account := terraformValue(t, tr.environment, "common", "region"), terraformValue(t, tr.environment, "common", "account_id")
	expect := func(application string, expected any, path ...any) {
		if has := at(values(application), path...); asJSON(has) != asJSON(expected) {
			found = append(found, fmt.Sprintf("%s: %v is %v in place of %v", application, path, has, expected))
		}
	}
	expect("karpenter", name, "settings", "clusterName")
	expect("karpenter", name+"-karpenter", "settings", "interruptionQueue")
	expect("aws-load-balancer-controller", name, "clusterName")
	expect("aws-load-balancer-controller", name, "vpcTags", "Name")
	expect("aws-load-balancer-controller", region, "region")
	expect("aws-load-balancer-controller", "internal", "defaultLoadBalancerScheme")
	expect("external-dns", []string{terraformValue(t, tr.environment, "edge", "zone")}, "domainFilters")
	expect("external-dns", name, "txtOwnerId")
	expect("external-dns", region, "env", 0, "value")
	expect("otel-collector", "/birthday/"+tr.environment+"/pods", "config", "exporters", "awscloudwatchlogs", "log_group_name")
	expect("otel-collector", region, "config", "exporters", "awsxray", "region")
	expect("otel-collector", region, "config", "exporters", "awscloudwatchlogs", "region")
	expect("hello-api", account+".dkr.ecr."+region+".amazonaws.com/birthday-host", "image", "repository")
	expect("hello-api", []string{terraformValue(t, tr.environment, "edge", "hostname")}, "ingress", "hosts")
	expect("hello-api", network+".4.0/22", "networkPolicy", "from", 0, "ipBlock", "cidr")
	expect("hello-api", network+".64.0/20", "networkPolicy", "databaseTo", 0, "ipBlock", "cidr")
	if url := text(at(values("hello-api"), "variables", "database_url")); !strings.HasPrefix(url, "postgres://hello_api@"+name+".") ||
		!strings.HasSuffix(url, "."+region+".rds.amazonaws.com:5432/people?sslmode=verify-full") {
		found = append(found, "hello-api: the database is at "+url)
	}
	for _, class := range tr.madeOfKind("EC2NodeClass") {
		has := asJSON([]any{class.at("spec", "role"), class.at("spec", "subnetSelectorTerms"), class.at("spec", "securityGroupSelectorTerms"), class.at("spec", "tags", "environment")})
		expected := asJSON([]any{name + "-karpenter-node", []any{map[string]any{"tags": map[string]any{"karpenter.sh/discovery": name}}},
			[]any{map[string]any{"tags": map[string]any{"aws:eks:cluster-name": name}}}, tr.environment})
		if has != expected {
			found = append(found, fmt.Sprintf("%s: %s", class, has))
		}
		if data := class.text("spec", "userData"); data != "" && !strings.Contains(data, "bootstrap.sh "+name+" ") {
			found = append(found, class.String()+" joins another cluster")
		}
	}
	if store := tr.made("secrets", "ClusterSecretStore", "aws-secrets-manager"); store.text("spec", "provider", "aws", "region") != region {
		found = append(found, store.String()+" is in another region")
	}
	return found
}

func TestNamesAreThoseOfTerraform(t *testing.T) {
	for _, environment := range environments {
		tr := treeOf(t, environment)
		values := map[string]map[string]any{}
		for name := range serviceAccounts {
			if name := serviceAccounts[name]; values[name] == nil {
				values[name] = valuesOf(t, tr, name)
			}
		}
		for _, found := range namesDisagree(t, tr, func(application string) map[string]any { return values[application] }) {
			t.Errorf("%s: %s", environment, found)
		}
		// Each environment with the names of another one.
		for _, other := range environments {
			stranger := tr.clone()
			stranger.environment = other
			found := namesDisagree(t, stranger, func(application string) map[string]any { return values[application] })
			for _, application := range []string{"karpenter", "aws-load-balancer-controller", "external-dns", "otel-collector", "hello-api", "EC2NodeClass"} {
				noticed := slices.ContainsFunc(found, func(message string) bool { return strings.HasPrefix(message, application) })
				if other != environment && !noticed {
					t.Errorf("%s: names of %s in %s are not noticed", other, environment, application)
				}
			}
		}
	}
}

// What Terraform does with these names, in its own words: if it changes, the expectations above have to, too.
func TestTerraformStillHasTheNames(t *testing.T) {
	for file, texts := range map[string][]string{
		"platform/main.tf":        {`name     = "birthday-${var.environment}"`},
		"platform/nodes.tf":       {`name                 = "${local.name}-karpenter-node"`, `name                      = "${local.name}-karpenter"`, `labels = { "birthday/nodes" = "system" }`, `key    = "CriticalAddonsOnly"`},
		"network/vpc.tf":          {`"karpenter.sh/discovery" = local.name`, `tags = { Name = local.name }`},
		"observability/causes.tf": {`name              = "/birthday/${var.environment}/pods"`},
		"platform/pods.tf":        {`secret:birthday/*`},
	} {
		content := manifests.ReadFile(t, manifests.Root, "infra/terraform", file)
		for _, text := range texts {
			if !strings.Contains(content, text) {
				t.Errorf("%s has no %s", file, text)
			}
		}
	}
}
