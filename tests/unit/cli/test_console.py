from connector.cli.show import console, safe


def test_a_record_s_key_and_a_lead_s_name_are_no_emoji(capsys):
    console().print(f"salesforce:notes:069 {safe(':smile: [bold]佐藤[/]')}")
    assert capsys.readouterr().out == "salesforce:notes:069 :smile: [bold]佐藤[/]\n"
