output "name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
  # Who writes logs into it needs its policy.
  depends_on = [aws_s3_bucket_policy.this]
}

output "arn" {
  description = "ARN of the bucket."
  value       = "arn:aws:s3:::${var.name}"
}

output "policy" {
  description = "Policy of the bucket, as JSON."
  value       = local.policy
}

output "public" {
  description = "Whether anything of the bucket could be public."
  value = !(
    aws_s3_bucket_public_access_block.this.block_public_acls
    && aws_s3_bucket_public_access_block.this.block_public_policy
    && aws_s3_bucket_public_access_block.this.ignore_public_acls
    && aws_s3_bucket_public_access_block.this.restrict_public_buckets
  )
}

output "versioning" {
  description = "State of versioning: Enabled."
  value       = aws_s3_bucket_versioning.this.versioning_configuration[0].status
}

output "encryption" {
  description = "Algorithm of the encryption: aws:kms or AES256."
  value = one(flatten([
    for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
    [for default in rule.apply_server_side_encryption_by_default : default.sse_algorithm]
  ]))
}
