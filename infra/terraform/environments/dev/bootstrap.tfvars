github_repository = "example/birthday"
github_environments = {
  plan    = "dev-plan"
  apply   = "dev"
  publish = "dev-release"
}
log_retention_days = 30
