package charts

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"charts/manifests"
)

func TestHelmFindsNothingToComplainOf(t *testing.T) {
	all := allScenarios()
	errs := make([]error, len(all))
	inParallel(len(all), func(i int) {
		_, errs[i] = manifests.Run(manifests.ToolPath("helm"), "lint", "--strict", "--quiet", "--kube-version", manifests.OldestKubernetes,
			"--values", filepath.Join(all[i].chart.folder, all[i].file), all[i].chart.folder)
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("%s: %s", all[i], err)
		}
	}
}

// Both versions are in use. Blank lines are ignored, and so are Secrets, which are random.
func TestHelm3RendersTheSame(t *testing.T) {
	all := plainRenderings(t)
	errs := make([]error, len(all))
	texts := make([]string, len(all))
	inParallel(len(all), func(i int) {
		texts[i], errs[i] = template("helm3", all[i].scenario.chart.folder, all[i].scenario.release(all[i].naming))
	})
	for i, r := range all {
		if errs[i] != nil {
			t.Errorf("%s: %s", r, errs[i])
			continue
		}
		objects, err := parseObjects(texts[i])
		if err != nil {
			t.Errorf("%s: %s", r, err)
			continue
		}
		if len(objects) != len(r.objects) {
			t.Errorf("%s: %d objects by helm 3, and %d by helm 4", r, len(objects), len(r.objects))
			continue
		}
		for j, object := range objects {
			if object.GetKind() == "Secret" {
				continue
			}
			if !sameJSON(object.Object, r.objects[j].Object) {
				t.Errorf("%s: %s is another by helm 3", r, object)
			}
		}
	}
}

// The fields that the API server does not allow to change.
var immutableFields = map[string][][]string{
	"Deployment":            {{"spec", "selector"}},
	"Rollout":               {{"spec", "selector"}},
	"StatefulSet":           {{"spec", "selector"}, {"spec", "serviceName"}, {"spec", "podManagementPolicy"}, {"spec", "volumeClaimTemplates"}},
	"PersistentVolumeClaim": {{"spec"}},
}

// An upgrade to another version of the chart and of the application succeeds.
func TestUpgradesChangeNothingImmutable(t *testing.T) {
	newer := map[string]string{}
	for _, chart := range charts {
		newer[chart.name] = withNewVersions(t, chart)
	}
	for _, r := range plainRenderings(t) {
		text, err := template("helm", newer[r.scenario.chart.name], r.scenario.release(r.naming))
		if err != nil {
			t.Fatalf("%s: %s", r, err)
		}
		objects, err := parseObjects(text)
		if err != nil {
			t.Fatalf("%s: %s", r, err)
		}
		for i, before := range r.objects {
			for _, field := range immutableFields[before.GetKind()] {
				if !sameJSON(before.at(field...), objects[i].at(field...)) {
					t.Errorf("%s: %s: an upgrade changes %s", r, before, strings.Join(field, "."))
				}
			}
		}
	}
}

// withNewVersions is a copy of a chart with other versions.
func withNewVersions(t *testing.T, chart chart) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(chart.folder)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "Chart.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	versions := regexp.MustCompile(`(?m)^(version|appVersion): .*$`)
	if len(versions.FindAll(text, -1)) != 2 {
		t.Fatalf("%s: not one version and one appVersion", file)
	}
	if err := os.WriteFile(file, versions.ReplaceAll(text, []byte(`$1: "99.0.0"`)), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// There helm gives a chart the key `global`, and the values under its name.
func TestChartsCanBePartsOfOthers(t *testing.T) {
	for _, chart := range charts {
		umbrella := t.TempDir()
		part := filepath.Join(umbrella, "charts", chart.name)
		if err := os.CopyFS(part, os.DirFS(chart.folder)); err != nil {
			t.Fatal(err)
		}
		text := "apiVersion: v2\nname: umbrella\nversion: 0.1.0\n"
		if err := os.WriteFile(filepath.Join(umbrella, "Chart.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := template("helm", umbrella, release{"umbrella", "default", []string{"--set", "global.team=birthdays"}})
		if err != nil {
			t.Errorf("%s: %s", chart.name, err)
			continue
		}
		if objects, err := parseObjects(out); err != nil || len(objects) == 0 {
			t.Errorf("%s: %d objects, %v", chart.name, len(objects), err)
		}
	}
}
