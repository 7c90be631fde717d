output "states_bucket" {
  description = "Bucket of the states, for environments/<environment>/backend.hcl."
  value       = module.states.name
}

output "states_key_arn" {
  description = "Key of the states, for environments/<environment>/backend.hcl."
  value       = module.key.arn
}

output "roles" {
  description = "Roles for GitHub's jobs: plan, apply, publish."
  value = {
    plan    = module.plan.arn
    apply   = module.apply.arn
    publish = module.publish.arn
  }
}
