mock_provider "aws" {
  source = "../tests/mocks"
}

mock_provider "aws" {
  alias  = "global"
  source = "../tests/mocks"
}

run "edge" {
  command = plan

  # Only CloudFront is public.
  assert {
    condition     = data.aws_lb.this[0].internal
    error_message = "the load balancer is internal"
  }
  assert {
    condition = (
      data.aws_lb.this[0].tags["elbv2.k8s.aws/cluster"] == "birthday-${var.environment}"
      && data.aws_lb.this[0].tags["ingress.k8s.aws/stack"] == "app-space/hello-api"
    )
    error_message = "it is that of the chart's Ingress in this cluster"
  }
  assert {
    condition = (
      aws_cloudfront_vpc_origin.this[0].vpc_origin_endpoint_config[0].arn == data.aws_lb.this[0].arn
      && one(aws_cloudfront_distribution.this[0].origin).vpc_origin_config[0].vpc_origin_id == aws_cloudfront_vpc_origin.this[0].id
      && length(one(aws_cloudfront_distribution.this[0].origin).custom_origin_config) == 0
    )
    error_message = "CloudFront calls it within the VPC"
  }
  assert {
    condition     = alltrue([for record in aws_route53_record.primary : one(record.alias).name == aws_cloudfront_distribution.this[0].domain_name])
    error_message = "the name leads to CloudFront"
  }

  # Everything is encrypted.
  assert {
    condition     = aws_cloudfront_vpc_origin.this[0].vpc_origin_endpoint_config[0].origin_protocol_policy == "https-only"
    error_message = "CloudFront calls the load balancer by HTTPS"
  }
  assert {
    condition = (
      aws_cloudfront_distribution.this[0].default_cache_behavior[0].viewer_protocol_policy == "redirect-to-https"
      && aws_cloudfront_distribution.this[0].viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2021"
    )
    error_message = "callers use TLS 1.2 or newer"
  }
  assert {
    condition     = one(aws_cloudfront_response_headers_policy.this.security_headers_config[0].strict_transport_security).access_control_max_age_sec >= 31536000
    error_message = "browsers remember that"
  }
  assert {
    condition = alltrue([
      for group in [aws_cloudwatch_log_group.requests, aws_cloudwatch_log_group.firewall] : group.kms_key_id == module.logs_key.arn
    ]) && module.logs_key.rotates
    error_message = "logs are encrypted by our key"
  }

  # What is refused.
  assert {
    condition     = aws_cloudfront_distribution.this[0].web_acl_id == aws_wafv2_web_acl.this.arn
    error_message = "each request passes the firewall"
  }
  assert {
    condition = [
      for rule in aws_wafv2_web_acl.this.rule : rule.statement[0].rate_based_statement[0].limit
      if rule.name == "requests-per-address"
    ] == [var.requests_per_address]
    error_message = "an address has a limit"
  }
  assert {
    condition = toset([
      for rule in aws_wafv2_web_acl.this.rule : rule.name if length(rule.override_action) == 1 && alltrue([for action in rule.override_action : length(action.none) == 1])
    ]) == toset(["AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"])
    error_message = "Amazon's rules refuse, not only count"
  }
  assert {
    condition     = one(aws_wafv2_web_acl_logging_configuration.this.redacted_fields).single_header[0].name == "authorization"
    error_message = "tokens are not logged"
  }
  assert {
    condition     = !anytrue(concat([aws_wafv2_web_acl.this.visibility_config[0].sampled_requests_enabled], [for rule in aws_wafv2_web_acl.this.rule : rule.visibility_config[0].sampled_requests_enabled]))
    error_message = "nor are they sampled"
  }

  # What is answered.
  assert {
    condition     = aws_cloudfront_distribution.this[0].default_cache_behavior[0].cache_policy_id == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    error_message = "nothing is cached: a PUT is seen at once"
  }
  assert {
    condition     = contains(aws_cloudfront_distribution.this[0].default_cache_behavior[0].allowed_methods, "PUT")
    error_message = "PUT is passed on"
  }
  assert {
    condition     = aws_cloudfront_distribution.this[0].aliases == toset(local.names) && local.names[0] == var.hostname
    error_message = "it answers for the name of the service"
  }
  assert {
    condition     = toset(aws_route53_record.authorities.records) == toset(["0 issue \"amazon.com\"", "0 issuewild \"amazon.com\""])
    error_message = "only Amazon makes certificates"
  }
  assert {
    condition = (
      aws_route53_health_check.this[0].resource_path == "/health"
      && aws_route53_health_check.this[0].type == "HTTPS"
      && aws_route53_health_check.this[0].failure_threshold * aws_route53_health_check.this[0].request_interval <= 30
    )
    error_message = "an outage is seen within 30 s"
  }
  assert {
    condition     = var.environment != "prod" || var.log_retention_days >= 90
    error_message = "prod keeps logs of requests for 90 days"
  }

  # Contract.
  assert {
    condition     = keys(local.published) == keys(jsondecode(regex("(?s)<<-JSON\n(.*?)\n *JSON", file("../tests/mocks/published.tfmock.hcl"))[0]).edge)
    error_message = "what is published is what the tests of other layers have"
  }
}

run "certificates_first" {
  command = plan

  variables {
    serve = false
  }

  assert {
    condition     = length(aws_cloudfront_distribution.this) + length(aws_route53_record.primary) + length(data.aws_lb.this) == 0
    error_message = "nothing needs the load balancer"
  }
  assert {
    condition     = aws_acm_certificate.load_balancer.domain_name == var.hostname
    error_message = "the load balancer's certificate is there"
  }
}

run "failover" {
  command = plan

  variables {
    secondary = { domain_name = "d-0123.execute-api.eu-west-1.amazonaws.com", zone_id = "ZLY8HYME6SFDD" }
  }

  assert {
    condition = alltrue([
      for record in aws_route53_record.primary :
      one(record.failover_routing_policy).type == "PRIMARY" && record.set_identifier == "primary" && record.health_check_id == aws_route53_health_check.this[0].id
    ])
    error_message = "the primary answers while it is well"
  }
  assert {
    condition = (
      one(aws_route53_record.secondary[0].failover_routing_policy).type == "SECONDARY"
      && one(aws_route53_record.secondary[0].alias).name == "d-0123.execute-api.eu-west-1.amazonaws.com"
    )
    error_message = "otherwise the secondary answers"
  }
  assert {
    condition     = aws_route53_health_check.this[0].fqdn == "primary.${var.hostname}" && length(aws_route53_record.checked) == 2
    error_message = "the check looks at the primary, also while the name leads to the secondary"
  }
}

run "shield_advanced" {
  command = plan

  variables {
    shield_advanced = true
  }

  assert {
    condition     = length(aws_shield_protection.distribution) == 1 && length(aws_shield_protection.zone) == 1
    error_message = "the edge is protected"
  }
}

run "the_name_is_in_the_zone" {
  command = plan

  variables {
    hostname = "hello.example.com"
    zone     = "ample.com"
  }

  expect_failures = [var.hostname]
}

run "a_public_load_balancer_is_refused" {
  command = plan

  override_data {
    target          = data.aws_lb.this
    override_during = plan
    values          = { internal = false }
  }

  expect_failures = [data.aws_lb.this]
}
