"""Tables: every row carries its header, whatever the table looks like."""

from retrieval.parse.blocks import render
from retrieval.parse.tables import rows, sheet_rows


def lines(blocks):
    text, _ = render(blocks, 10**6)
    return text.split("\n")


def test_each_row_names_its_values():
    grid = [["Quarter", "Revenue", "Region"], ["Q1", "12", "North"], ["Q2", "", "South"]]
    assert lines(rows(grid, 1)) == [
        "Quarter: Q1; Revenue: 12; Region: North.",
        "Quarter: Q2; Region: South.",
    ]


def test_a_header_is_recognised_where_none_is_declared():
    grid = [["Name", "Born"], ["Ada", "1815"], ["Alan", "1912"]]
    assert lines(sheet_rows(grid, has_header=False))[0] == "Name: Ada; Born: 1815."


def test_years_may_be_column_names_but_other_numbers_are_not():
    grid = [["Country", "2019", "2020"], ["Chile", "19.1", "19.3"]]
    assert lines(sheet_rows(grid, has_header=True)) == ["Country: Chile; 2019: 19.1; 2020: 19.3."]
    grid = [["1", "2", "3"], ["4", "5", "6"]]
    assert lines(sheet_rows(grid, has_header=True)) == ["1; 2; 3.", "4; 5; 6."]


def test_a_form_of_two_columns_reads_as_names_and_values():
    grid = [["Name", "Ada Lovelace"], ["City", "London"], ["Left empty", ""]]
    assert lines(sheet_rows(grid, has_header=False)) == [
        "Name: Ada Lovelace.",
        "City: London.",
        "Left empty.",
    ]


def test_a_title_stands_above_the_table_and_blank_rows_part_tables():
    grid = [
        ["Sales", "", ""],
        ["Region", "Q1", "Q2"],
        ["North", "1", "2"],
        ["", "", ""],
        ["Region", "Cost", "Margin"],
        ["North", "3", "4"],
    ]
    assert lines(sheet_rows(grid, has_header=True)) == [
        "Sales",
        "",
        "Region: North; Q1: 1; Q2: 2.",
        "Region: North; Cost: 3; Margin: 4.",
    ]


def test_a_table_goes_on_below_a_blank_row_without_a_header_of_its_own():
    grid = [["Region", "Sales"], ["North", "1"], ["", ""], ["South", "2"]]
    assert lines(sheet_rows(grid, has_header=True)) == [
        "Region: North; Sales: 1.",
        "Region: South; Sales: 2.",
    ]


def test_merged_cells_name_all_they_span_and_are_said_once():
    grid = [
        ["", "2023", None],
        ["Region", "Sales", "Cost"],
        ["North", "5", "3"],
        ["both", None, "4"],
    ]
    assert lines(rows(grid, 2)) == [
        "Region: North; 2023 Sales: 5; 2023 Cost: 3.",
        "Region: both; 2023 Cost: 4.",
    ]


def test_headers_of_two_rows_are_recognised():
    grid = [["", "2023", None], ["", "Sales", "Cost"], ["North", "5", "3"], ["South", "6", "4"]]
    assert lines(sheet_rows(grid, has_header=True)) == [
        "North; 2023 Sales: 5; 2023 Cost: 3.",
        "South; 2023 Sales: 6; 2023 Cost: 4.",
    ]


def test_a_blank_row_under_a_header_parts_nothing():
    grid = [
        ["CHF", "", "2023"],
        ["", "Sales", "Cost"],
        [],
        ["North", "5", "3"],
        ["South", "6", "4"],
    ]
    assert lines(sheet_rows(grid, has_header=True)) == [
        "CHF: North; Sales: 5; 2023 Cost: 3.",
        "CHF: South; Sales: 6; 2023 Cost: 4.",
    ]


def test_a_very_wide_row_becomes_lines_that_each_begin_with_its_name():
    names = ["Country", *(f"c{i}" for i in range(40))]
    values = ["Chile", *(str(i) for i in range(40))]
    found = lines(rows([names, values], 1))
    assert len(found) == 3
    assert all(line.startswith("Country: Chile; ") for line in found)
    assert found[2].endswith("c39: 39.")


def test_rows_of_uneven_length_and_line_ends_in_cells():
    grid = [["a", "b"], ["1", "two\nlines", "beyond"], []]
    assert lines(rows(grid, 1)) == ["a: 1; b: two lines; beyond."]


def test_a_header_without_rows_is_kept():
    assert lines(rows([["Name", "Born"]], 1)) == ["Name; Born."]
