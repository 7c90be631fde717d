package gitops

import (
	"fmt"
	"regexp"
	"slices"
)

func (tr *tree) madeOfKind(kind string) []object {
	var found []object
	for _, application := range tr.applications() {
		for _, o := range tr.contents[application.name()] {
			if o.kind() == kind {
				found = append(found, o)
			}
		}
	}
	return found
}

// Pods get no credentials of a node, disks are encrypted, and the image is pinned.
func nodesAreSafe(tr *tree) (found []string) {
	pinned := regexp.MustCompile(`^bottlerocket@v[0-9]+\.[0-9]+\.[0-9]+$`)
	for _, class := range tr.madeOfKind("EC2NodeClass") {
		options := asJSON(class.at("spec", "metadataOptions"))
		if options != `{"httpEndpoint":"enabled","httpPutResponseHopLimit":1,"httpTokens":"required"}` {
			found = append(found, fmt.Sprintf("%s: %s", class, options))
		}
		disks := class.list("spec", "blockDeviceMappings")
		if len(disks) == 0 || slices.ContainsFunc(disks, func(disk any) bool { return at(disk, "ebs", "encrypted") != true }) {
			found = append(found, class.String()+" has a disk that is not encrypted")
		}
		image := class.text("spec", "amiSelectorTerms", 0, "alias")
		if class.name() == "default" && !pinned.MatchString(image) {
			found = append(found, fmt.Sprintf("%s: %q is not one image", class, image))
		}
	}
	return found
}

// Each pool is limited, consolidates, and says how many nodes may go at once. Only what is stateless is on spot instances.
func poolsAreBounded(tr *tree) (found []string) {
	pools := tr.madeOfKind("NodePool")
	if len(pools) < 2 {
		found = append(found, "there are not two pools")
	}
	for _, pool := range pools {
		if pool.text("spec", "limits", "cpu") == "" || pool.text("spec", "limits", "memory") == "" {
			found = append(found, pool.String()+" has no limits")
		}
		if len(pool.list("spec", "disruption", "budgets")) == 0 || pool.text("spec", "disruption", "consolidationPolicy") == "" {
			found = append(found, pool.String()+" has no budget, or does not consolidate")
		}
		if pool.text("spec", "template", "spec", "expireAfter") == "" || pool.text("spec", "template", "spec", "terminationGracePeriod") == "" {
			found = append(found, pool.String()+" has nodes that stay for ever")
		}
		expected := []string{"spot", "on-demand"}
		if pool.name() == "system" {
			expected = []string{"on-demand"}
		}
		var bought []string
		for _, requirement := range pool.list("spec", "template", "spec", "requirements") {
			if values, _ := at(requirement, "values").([]any); text(at(requirement, "key")) == "karpenter.sh/capacity-type" {
				bought = append(bought, texts(values)...)
			}
		}
		if !slices.Equal(bought, expected) {
			found = append(found, fmt.Sprintf("%s buys %v", pool, bought))
		}
		class := pool.text("spec", "template", "spec", "nodeClassRef", "name")
		if !slices.ContainsFunc(tr.madeOfKind("EC2NodeClass"), func(o object) bool { return o.name() == class }) {
			found = append(found, fmt.Sprintf("%s: there is no %s", pool, class))
		}
		taint := asJSON(pool.at("spec", "template", "spec", "taints"))
		if expected := `[{"effect":"NoSchedule","key":"CriticalAddonsOnly","value":"true"}]`; pool.name() == "system" && taint != expected {
			found = append(found, fmt.Sprintf("%s: %s", pool, taint))
		}
	}
	return found
}
