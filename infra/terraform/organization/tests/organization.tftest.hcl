mock_provider "aws" {
  source = "../tests/mocks"
}

run "organization" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in aws_organizations_policy.this : [for statement in jsondecode(policy.content).Statement : statement.Effect == "Deny"]
    ]))
    error_message = "a service control policy only takes rights away"
  }
  assert {
    condition = jsondecode(aws_organizations_policy.this["regions"].content).Statement[0].Condition == {
      StringNotEquals = { "aws:RequestedRegion" = ["eu-central-1", "eu-west-1", "us-east-1"] }
    }
    error_message = "nothing is made outside our regions"
  }
  assert {
    condition = jsondecode(aws_organizations_policy.this["root"].content).Statement[0] == {
      Sid       = "Root"
      Effect    = "Deny"
      Action    = ["*"]
      Resource  = "*"
      Condition = { StringLike = { "aws:PrincipalArn" = "arn:aws:iam::*:root" } }
    }
    error_message = "root does nothing"
  }
  assert {
    condition     = alltrue([for policy in ["regions", "root", "traces", "data"] : contains(keys(aws_organizations_policy_attachment.this), "${policy} production")])
    error_message = "production has every policy"
  }
  assert {
    condition     = contains(flatten(jsondecode(aws_organizations_policy.this["data"].content).Statement[*].Action), "iam:CreateAccessKey")
    error_message = "there are no keys that never end"
  }
  assert {
    condition     = alltrue([for policy in aws_organizations_policy.this : length(policy.content) <= 5120])
    error_message = "a policy has at most 5,120 characters"
  }
  assert {
    condition     = var.accounts["birthday-prod"].unit == "production" && !aws_organizations_account.this["birthday-prod"].close_on_deletion
    error_message = "prod is in production, and is not closed by mistake"
  }
}

run "each_account_has_an_address" {
  command = plan

  variables {
    accounts = {
      a = { email = "aws@example.com", unit = "development" }
      b = { email = "aws@example.com", unit = "development" }
    }
  }

  expect_failures = [var.accounts]
}
