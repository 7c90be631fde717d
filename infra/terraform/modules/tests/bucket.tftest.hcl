mock_provider "aws" {
  source = "../tests/mocks"
}

variables {
  name        = "birthday-test"
  key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000000"
  logs_bucket = "birthday-logs"
}

run "bucket" {
  command = plan

  module {
    source = "./bucket"
  }

  assert {
    condition     = !output.public
    error_message = "nothing of a bucket is public"
  }
  assert {
    condition     = output.versioning == "Enabled" && output.encryption == "aws:kms"
    error_message = "a bucket is versioned and encrypted by the key"
  }
  assert {
    condition     = one(aws_s3_bucket_ownership_controls.this.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "no ACL counts"
  }
  assert {
    condition     = aws_s3_bucket_logging.this[0].target_bucket == "birthday-logs"
    error_message = "accesses are logged"
  }
  assert {
    condition = jsondecode(aws_s3_bucket_policy.this.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "s3:*"
        Resource  = ["arn:aws:s3:::birthday-test", "arn:aws:s3:::birthday-test/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    }
    error_message = "without TLS nothing is answered"
  }
}

run "bucket_without_a_key_of_ours" {
  command = plan

  module {
    source = "./bucket"
  }

  variables {
    key_arn = null
  }

  assert {
    condition     = output.encryption == "AES256"
    error_message = "it is encrypted all the same"
  }
}

run "nothing_is_allowed_to_everybody" {
  command = plan

  module {
    source = "./bucket"
  }

  variables {
    statements = jsonencode([{ Effect = "Allow", Principal = "*", Action = "s3:GetObject", Resource = "*" }])
  }

  expect_failures = [var.statements]
}

run "nor_to_every_account" {
  command = plan

  module {
    source = "./bucket"
  }

  variables {
    statements = jsonencode([{ Effect = "Allow", Principal = { AWS = "*" }, Action = "s3:GetObject", Resource = "*" }])
  }

  expect_failures = [var.statements]
}
