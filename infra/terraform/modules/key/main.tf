# A customer-managed key for one purpose.

locals {
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        # Without it the key could be locked out of the account; IAM policies decide then.
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${var.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      }],
      [for service, conditions in var.services : {
        Sid       = join("", [for word in split(".", replace(service, "-", ".")) : title(word)])
        Effect    = "Allow"
        Principal = { Service = service }
        Action = [
          "kms:Decrypt",
          "kms:DescribeKey",
          "kms:Encrypt",
          "kms:GenerateDataKey",
          "kms:GenerateDataKeyWithoutPlaintext",
          "kms:ReEncryptFrom",
          "kms:ReEncryptTo",
        ]
        Resource  = "*"
        Condition = conditions
      }],
    )
  })
}

resource "aws_kms_key" "this" {
  description             = var.description
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = local.policy
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
