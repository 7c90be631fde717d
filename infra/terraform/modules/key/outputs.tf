output "arn" {
  description = "ARN of the key."
  value       = aws_kms_key.this.arn
}

output "policy" {
  description = "Policy of the key, as JSON."
  value       = local.policy
}

output "rotates" {
  description = "Whether the key is rotated each year."
  value       = aws_kms_key.this.enable_key_rotation
}
