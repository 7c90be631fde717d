output "arn" {
  description = "ARN of the role."
  value       = aws_iam_role.this.arn
}

output "name" {
  description = "Name of the role."
  value       = aws_iam_role.this.name
}

output "trust" {
  description = "Trust policy, as JSON."
  value       = aws_iam_role.this.assume_role_policy
}

output "policy" {
  description = "What the role may do, as JSON, or null."
  value       = one(aws_iam_role_policy.this[*].policy)
}

output "managed_policy_arns" {
  description = "Policies of AWS that the role has."
  value       = toset([for attachment in aws_iam_role_policy_attachment.this : attachment.policy_arn])
}

output "permissions_boundary" {
  description = "ARN of the policy that bounds the role, or null."
  value       = aws_iam_role.this.permissions_boundary
}
