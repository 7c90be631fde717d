output "accounts" {
  description = "Numbers of the accounts, for environments/<environment>/common.tfvars."
  value       = { for name, account in aws_organizations_account.this : name => account.id }
}
