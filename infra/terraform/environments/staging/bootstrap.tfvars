github_repository = "example/birthday"
github_environments = {
  plan    = "staging-plan"
  apply   = "staging"
  publish = "staging-release"
}
log_retention_days = 30
