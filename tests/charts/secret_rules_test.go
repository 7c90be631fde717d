package charts

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	passwordInURL = regexp.MustCompile(`[a-z]://[^/\s:@]*:[^/\s@]+@`)
	// Names under which there are secrets, and no names of secrets.
	secretName = regexp.MustCompile(`(?i)(password|passwd|token|secret|api_?key|access_?key)$`)
)

// DynamoDB Local takes any key.
const keyOfDynamoDBLocal = "local"

// Values of Secrets are made at random, or are no secrets; nothing else holds a secret.
func noSecretIsInClear(r rendering) (problems []string) {
	for _, o := range r.ofKind("", "Secret") {
		for _, field := range []string{"data", "stringData"} {
			for key, value := range o.labelsAt(field) {
				if secretName.MatchString(strings.ReplaceAll(key, "-", "_")) && !r.generated[value] {
					problems = append(problems, fmt.Sprintf("%s: %s is not made at random", o, key))
				}
			}
		}
	}
	for _, o := range r.objects {
		walk(o.Object, "", func(path, text string) {
			if decoded, err := base64.StdEncoding.DecodeString(text); err == nil && o.GetKind() == "Secret" {
				text = string(decoded)
			}
			if passwordInURL.MatchString(text) {
				problems = append(problems, fmt.Sprintf("%s: %s: an address with a password", o, path))
			}
		})
	}
	walk(r.values, "values", func(path, text string) {
		if passwordInURL.MatchString(text) {
			problems = append(problems, fmt.Sprintf("%s: an address with a password", path))
		}
	})
	for _, config := range r.ofKind("", "ConfigMap") {
		for name, value := range config.labelsAt("data") {
			if isSecret(name) && value != "" && value != keyOfDynamoDBLocal {
				problems = append(problems, fmt.Sprintf("%s: has the value of %s", config, name))
			}
		}
	}
	for _, workload := range r.workloads() {
		for _, container := range workload.containers() {
			for _, env := range container.Env {
				if isSecret(env.Name) && env.Value != "" {
					problems = append(problems, fmt.Sprintf("%s: container %s: has the value of %s", workload, container.Name, env.Name))
				}
			}
		}
	}
	return problems
}

// isSecret says whether a variable of the environment is one, by its name or by spin.toml.
func isSecret(name string) bool {
	variable := strings.ToLower(strings.TrimPrefix(name, "SPIN_VARIABLE_"))
	return secretName.MatchString(name) || slices.Contains(secretVariables(), variable)
}
