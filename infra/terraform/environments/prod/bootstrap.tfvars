github_repository = "example/birthday"
github_environments = {
  plan    = "prod-plan"
  apply   = "prod"
  publish = "prod-release"
}
log_retention_days = 365
