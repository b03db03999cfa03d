(import_specifier name: (identifier) @name) @reference.import
(class_heritage (identifier) @name) @reference.class
