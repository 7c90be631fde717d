mock_provider "aws" {
  source = "../tests/mocks"
}

variables {
  name        = "birthday-test"
  description = "test"
  account_id  = "123456789012"
  services = {
    "logs.eu-central-1.amazonaws.com" = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
  }
}

run "key" {
  command = plan

  module {
    source = "./key"
  }

  assert {
    condition     = output.rotates
    error_message = "a key is rotated"
  }
  assert {
    condition     = aws_kms_key.this.deletion_window_in_days == 30
    error_message = "a deletion can be taken back for 30 days"
  }
  assert {
    condition = jsondecode(aws_kms_key.this.policy).Statement[0] == {
      Sid       = "Account"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::123456789012:root" }
      Action    = "kms:*"
      Resource  = "*"
    }
    error_message = "IAM policies of the account decide"
  }
  assert {
    condition = (
      length(jsondecode(aws_kms_key.this.policy).Statement) == 2
      && jsondecode(aws_kms_key.this.policy).Statement[1].Principal == { Service = "logs.eu-central-1.amazonaws.com" }
      && jsondecode(aws_kms_key.this.policy).Statement[1].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } }
      && alltrue([for action in jsondecode(aws_kms_key.this.policy).Statement[1].Action : !strcontains(action, "*")])
    )
    error_message = "a service has its condition, and no wildcard"
  }
}

run "a_service_has_a_condition" {
  command = plan

  module {
    source = "./key"
  }

  variables {
    services = { "logs.eu-central-1.amazonaws.com" = {} }
  }

  expect_failures = [var.services]
}
