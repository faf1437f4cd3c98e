{#-
    Each row of the model makes the expression true; a row that makes it null fails too.

    expression: a condition in SQL on the columns of the model.
-#}
{% test every_row_holds(model, expression) %}
    select *
    from {{ model }}
    where case when {{ expression }} then 0 else 1 end = 1
{% endtest %}
