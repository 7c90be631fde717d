package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldens/ has the rendered presets, so that a change of a chart shows its effect. UPDATE_GOLDENS=1 writes them.
func TestPresetsRenderToTheirGoldens(t *testing.T) {
	expected := map[string]bool{}
	for _, r := range plainRenderings(t) {
		if !r.scenario.isToggle() {
			file := filepath.Join("goldens", r.scenario.chart.name, r.scenario.file)
			expected[file] = true
			compareWithFile(t, file, goldenOf(r))
		}
	}
	files, err := filepath.Glob("goldens/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !expected[file] {
			t.Errorf("%s is of no preset", file)
		}
	}
}

// goldenOf is the output of helm, with placeholders for random values and for the files of the chart.
func goldenOf(r rendering) string {
	text := r.text
	for value := range r.generated {
		text = strings.ReplaceAll(text, value, "<made at random>")
	}
	files, err := filepath.Glob(filepath.Join(r.scenario.chart.folder, "files/*"))
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		for _, indent := range []string{"  ", "    "} {
			// Indented like helm's `nindent`.
			lines := "\n" + indent + strings.ReplaceAll(strings.TrimSpace(string(content)), "\n", "\n"+indent) + "\n"
			text = strings.ReplaceAll(text, lines, "\n"+indent+"<files/"+filepath.Base(file)+">\n")
		}
	}
	return text
}

// compareWithFile compares a text with a file, or writes the file if UPDATE_GOLDENS is set.
func compareWithFile(t *testing.T, file, made string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDENS") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	} else if difference := firstDifference(string(text), made); difference != "" {
		t.Errorf("%s is out of date; if the change is meant, UPDATE_GOLDENS=1 go test writes it\n%s", file, difference)
	}
}

func firstDifference(expected, got string) string {
	expectedLines, gotLines := strings.Split(expected, "\n"), strings.Split(got, "\n")
	for i, line := range gotLines {
		if i >= len(expectedLines) {
			return "+ " + line
		}
		if line != expectedLines[i] {
			return "- " + expectedLines[i] + "\n+ " + line
		}
	}
	if len(expectedLines) > len(gotLines) {
		return "- " + expectedLines[len(gotLines)]
	}
	return ""
}
