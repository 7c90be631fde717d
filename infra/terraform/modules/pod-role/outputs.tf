output "arn" {
  description = "ARN of the role."
  value       = module.role.arn
}

output "name" {
  description = "Name of the role."
  value       = module.role.name
}

output "trust" {
  description = "Trust policy, as JSON."
  value       = module.role.trust
}

output "policy" {
  description = "What the role may do, as JSON, or null."
  value       = module.role.policy
}

output "permissions_boundary" {
  description = "ARN of the policy that bounds the role, or null."
  value       = module.role.permissions_boundary
}
