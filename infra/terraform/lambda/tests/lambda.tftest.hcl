mock_provider "aws" {
  source = "../tests/mocks"
}

mock_provider "aws" {
  alias = "exports"

  mock_resource "aws_kms_key" {
    override_during = plan
    defaults        = { arn = "arn:aws:kms:eu-west-1:210987654321:key/00000000-0000-4000-8000-000000000006" }
  }
}

variables {
  # Any file: nothing is uploaded.
  package   = "main.tf"
  api_token = "0123456789abcdef0123456789abcdef"
  export = {
    schedule       = "cron(0 4 * * ? *)"
    account_id     = "210987654321"
    region         = "eu-west-1"
    owner_role_arn = "arn:aws:iam::210987654321:role/birthday-exports"
    retention_days = 90
  }
}

run "lambda" {
  command = plan

  # Everything is encrypted.
  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.kms_key_arn == module.key.arn]) && module.key.rotates
    error_message = "settings of functions are encrypted by our key"
  }
  assert {
    condition = alltrue([
      for group in concat(values(aws_cloudwatch_log_group.function), [aws_cloudwatch_log_group.api]) : group.kms_key_id == module.key.arn
    ])
    error_message = "logs are encrypted by our key"
  }
  assert {
    condition     = module.exports["this"].encryption == "aws:kms" && !module.exports["this"].public
    error_message = "exports are encrypted, and not public"
  }
  assert {
    condition     = aws_sqs_queue.failed_exports["this"].sqs_managed_sse_enabled
    error_message = "the queue is encrypted"
  }

  # What is called, and by whom.
  assert {
    condition = (
      aws_lambda_permission.api[0].principal == "apigateway.amazonaws.com"
      && startswith(aws_lambda_permission.api[0].source_arn, "arn:aws:execute-api:eu-central-1:${var.account_id}:${aws_apigatewayv2_api.this.id}/")
    )
    error_message = "only this API calls the function"
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.runtime == "provided.al2023" && toset(function.architectures) == toset(["arm64"])])
    error_message = "the functions are for a runtime of their own, on arm64"
  }
  assert {
    condition     = aws_lambda_function.this["api"].timeout == 15 && aws_lambda_function.this["api"].reserved_concurrent_executions == var.concurrency.most
    error_message = "time and number of instances are bounded"
  }
  assert {
    condition = (
      one(aws_apigatewayv2_stage.this.default_route_settings).throttling_rate_limit == var.rate.steady
      && one(aws_apigatewayv2_stage.this.default_route_settings).throttling_burst_limit == var.rate.burst
    )
    error_message = "requests are bounded"
  }
  assert {
    condition     = !strcontains(lower(one(aws_apigatewayv2_stage.this.access_log_settings).format), "path")
    error_message = "paths, which have names of users, are not logged"
  }
  assert {
    condition     = aws_lambda_function.this["api"].environment[0].variables.BIRTHDAY_KEY_VALUE == "dynamodb:people?region=eu-central-1"
    error_message = "the function uses the table"
  }
  assert {
    condition     = aws_scheduler_schedule.export["this"].target[0].input == "{\"job\":\"export\"}"
    error_message = "the schedule asks for an export"
  }

  # Trust.
  assert {
    condition = alltrue([
      for role in module.role : jsondecode(role.trust) == {
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Service = "lambda.amazonaws.com" }
          Action    = "sts:AssumeRole"
        }]
      }
    ])
    error_message = "only functions take the roles of functions"
  }
  assert {
    condition = jsondecode(module.schedule_role["this"].trust) == {
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "scheduler.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          StringEquals = {
            "aws:SourceAccount" = var.account_id
            "aws:SourceArn"     = "arn:aws:scheduler:eu-central-1:${var.account_id}:schedule-group/birthday-${var.environment}"
          }
        }
      }]
    }
    error_message = "only our schedules call"
  }

  # Both sides of the bucket.
  assert {
    condition = [
      for statement in jsondecode(module.exports["this"].policy).Statement : statement if statement.Effect == "Allow"
      ] == [{
        Sid       = "Export"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${var.account_id}:role/birthday-${var.environment}-export" }
        Action    = ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"]
        Resource  = "arn:aws:s3:::birthday-${var.environment}-exports-210987654321/${var.environment}/*"
    }]
    error_message = "the bucket lets the export write below its environment, and read nothing"
  }
  assert {
    condition = [
      for statement in jsondecode(module.role["export"].policy).Statement : statement if statement.Sid == "WriteExports"
      ] == [{
        Sid       = "WriteExports"
        Effect    = "Allow"
        Action    = ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"]
        Resource  = "arn:aws:s3:::birthday-${var.environment}-exports-210987654321/${var.environment}/*"
        Condition = { StringEquals = { "s3:ResourceAccount" = "210987654321" } }
    }]
    error_message = "the export writes there, and nowhere else"
  }
  assert {
    condition     = jsondecode(aws_kms_key.exports["this"].policy).Statement[1].Principal == { AWS = "arn:aws:iam::${var.account_id}:role/birthday-${var.environment}-export" }
    error_message = "the key of the exports knows the export"
  }
  assert {
    condition     = !contains(jsondecode(module.role["api"].policy).Statement[*].Sid, "WriteExports")
    error_message = "the API itself writes no exports"
  }

  # Permissions.
  assert {
    condition = alltrue(flatten([
      for role in concat(values(module.role), values(module.schedule_role)) : [
        for statement in jsondecode(role.policy).Statement : [for action in statement.Action : !strcontains(action, "*")]
      ]
    ]))
    error_message = "no role has a wildcard among its actions"
  }
  assert {
    condition = alltrue([
      for role in concat(values(module.role), values(module.schedule_role)) :
      role.permissions_boundary == "arn:aws:iam::${var.account_id}:policy/birthday-${var.environment}-boundary"
    ])
    error_message = "each role is bounded"
  }
}

run "domain" {
  command = plan

  variables {
    domain = {
      name            = "hello.example.com"
      certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-4000-8000-000000000004"
    }
  }

  assert {
    condition     = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].security_policy == "TLS_1_2" && aws_apigatewayv2_api.this.disable_execute_api_endpoint
    error_message = "the API has one name, with TLS 1.2"
  }
}

run "without_a_package" {
  command = plan

  variables {
    package = null
    export  = null
  }

  assert {
    condition     = length(aws_lambda_function.this) == 0 && length(module.exports) == 0
    error_message = "what the functions need is there before them"
  }
}

run "an_export_needs_the_token" {
  command = plan

  variables {
    api_token = null
  }

  expect_failures = [var.export]
}

run "exports_go_to_another_account" {
  command = plan

  variables {
    export = {
      schedule       = "rate(1 day)"
      account_id     = "123456789012"
      region         = "eu-west-1"
      owner_role_arn = "arn:aws:iam::123456789012:role/birthday-exports"
      retention_days = 90
    }
  }

  expect_failures = [var.export]
}
