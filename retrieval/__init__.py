"""Documents -> passages -> ranked hits; knows nothing of jamba or app."""
