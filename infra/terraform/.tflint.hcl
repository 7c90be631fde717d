# The rules of the language. Those of AWS are a plugin that tflint downloads from GitHub: not here.
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Layers have more files than main, variables and outputs: each answers one question.
rule "terraform_standard_module_structure" {
  enabled = false
}
