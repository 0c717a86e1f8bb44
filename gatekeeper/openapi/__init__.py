"""An OpenAPI document from descriptions that stand at the views, and the page that shows it. No I/O."""
