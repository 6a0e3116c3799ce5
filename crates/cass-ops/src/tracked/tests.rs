use super::*;
use candle_core::Device;

fn variable(values: &[f64]) -> Result<Var> {
    Var::new(values, &Device::Cpu)
}

/// `x²`, which counts how many of its kind are alive.
fn square(x: &Tracked, alive: &Arc<()>) -> Result<Tracked> {
    let (saved, alive) = (x.value().clone(), alive.clone());
    Ok(Tracked::record(
        "square",
        x.value().sqr()?,
        &[x],
        move |dy| {
            let _alive = alive;
            Ok(vec![Some(Gradient::fresh(((saved * 2.0)? * dy)?))])
        },
    ))
}

fn value(t: Option<&Tensor>) -> Result<Option<Vec<f64>>> {
    t.map(|t| t.to_vec1()).transpose()
}

#[test]
fn gradients_of_several_paths_add_up() -> Result<()> {
    let (x, alive) = (variable(&[3.0, -2.0])?, Arc::new(()));
    let leaf = Tracked::from(&x);
    let once = square(&leaf, &alive)?; // x²
    let twice = square(&once, &alive)?; // x⁴
    // x² + x⁴ + x, the variable named a second time
    let sum = compose(&[&once, &twice, &Tracked::from(&x)], |t| {
        ((&t[0] + &t[1])? + &t[2])?.sum_all()
    })?;
    let grads = sum.backward()?;
    assert_eq!(value(grads.get(&x))?, Some(vec![115.0, -35.0]));
    Ok(())
}

#[test]
fn what_was_saved_is_freed_on_the_way() -> Result<()> {
    let (x, alive) = (variable(&[2.0])?, Arc::new(()));
    let mut y = Tracked::from(&x);
    for _ in 0..3 {
        y = square(&y, &alive)?;
    }
    assert_eq!(Arc::strong_count(&alive), 4);
    let one = y.value().ones_like()?;
    let grads = y.backward_from(&one)?;
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(value(grads.get(&x))?, Some(vec![1024.0])); // 8 x⁷
    Ok(())
}

#[test]
fn a_second_pass_is_an_error() -> Result<()> {
    let (x, alive) = (variable(&[2.0])?, Arc::new(()));
    let y = square(&Tracked::from(&x), &alive)?;
    let one = y.value().ones_like()?;
    assert!(y.clone().backward_from(&one).is_ok());
    assert!(y.backward_from(&one).is_err());
    Ok(())
}

#[test]
fn constants_record_nothing() -> Result<()> {
    let (x, alive) = (variable(&[2.0])?, Arc::new(()));
    let y = square(&Tracked::constant(&x), &alive)?;
    assert!(!y.is_tracked());
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(y.backward()?.get(&x).is_none());
    Ok(())
}

/// A gradient that two inputs share must not be changed for one of them.
#[test]
fn a_shared_gradient_is_not_added_to_in_place() -> Result<()> {
    let (x, y, alive) = (variable(&[2.0])?, variable(&[5.0])?, Arc::new(()));
    let (tx, ty) = (Tracked::from(&x), Tracked::from(&y));
    let squared = square(&tx, &alive)?;
    let sum = Tracked::record("sum", (x.as_tensor() + y.as_tensor())?, &[&tx, &ty], |dy| {
        let both = Gradient::shared(dy.clone());
        Ok(vec![Some(both), Some(Gradient::shared(dy.clone()))])
    });
    let grads = compose(&[&sum, &squared], |t| (&t[0] + &t[1])?.sum_all())?.backward()?;
    assert_eq!(value(grads.get(&x))?, Some(vec![5.0]));
    assert_eq!(value(grads.get(&y))?, Some(vec![1.0]));
    Ok(())
}

#[test]
fn a_watched_tensor_has_a_gradient_and_passes_it_on() -> Result<()> {
    let (x, alive) = (variable(&[3.0, -2.0])?, Arc::new(()));
    let squared = square(&Tracked::from(&x), &alive)?;
    let watched = squared.watch();
    let again = watched.watch(); // the same place, by another handle
    // x⁴ + x² x, of which the second does not pass through `again`
    let sum = compose(
        &[&square(&again, &alive)?, &watched, &Tracked::from(&x)],
        |t| (&t[0] + (&t[1] * &t[2])?)?.sum_all(),
    )?;
    let grads = sum.backward()?;
    assert_eq!(value(grads.of(&again))?, Some(vec![18.0, 8.0])); // 2 x²
    assert_eq!(value(grads.of(&watched))?, Some(vec![21.0, 6.0])); // and x
    assert_eq!(value(grads.get(&x))?, Some(vec![135.0, -20.0])); // 4 x³ + 3 x²
    assert!(grads.of(&squared).is_none());
    Ok(())
}

#[test]
fn a_watched_constant_is_tracked_from_there_on() -> Result<()> {
    let (x, alive) = (variable(&[3.0])?, Arc::new(()));
    let constant = square(&Tracked::constant(&x), &alive)?; // saves nothing
    let watched = constant.watch();
    let grads = square(&watched, &alive)?.backward()?;
    assert_eq!(value(grads.of(&watched))?, Some(vec![18.0]));
    assert!(grads.get(&x).is_none());
    Ok(())
}

#[test]
fn gradients_of_another_shape_are_errors() -> Result<()> {
    let x = variable(&[2.0, 3.0])?;
    let other = variable(&[1.0])?;
    assert!(Tracked::from(&x).backward().is_err());
    assert!(Tracked::from(&x).backward_from(&other).is_err());
    Ok(())
}
