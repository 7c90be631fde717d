# What other layers read, in one parameter.

locals {
  published = {
    functions   = local.made
    api_id      = aws_apigatewayv2_api.this.id
    domain_name = one([for domain in aws_apigatewayv2_domain_name.this : domain.domain_name_configuration[0].target_domain_name])
    zone_id     = one([for domain in aws_apigatewayv2_domain_name.this : domain.domain_name_configuration[0].hosted_zone_id])
  }
}

resource "aws_ssm_parameter" "published" {
  name        = "/birthday/${var.environment}/lambda"
  description = "What the layer lambda publishes"
  type        = "String"
  value       = jsonencode({ lambda = local.published })
}

output "published" {
  description = "What other layers read. domain_name and zone_id are the edge's `secondary`."
  value       = local.published
}

output "endpoint" {
  description = "Address of the API, where it has no domain of its own."
  value       = var.domain == null ? aws_apigatewayv2_api.this.api_endpoint : null
}
